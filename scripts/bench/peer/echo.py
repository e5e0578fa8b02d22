"""echo.py asyncio|uvloop streams|protocol [CERT] - a TCP echo server in Python,
with TLS if it is given a certificate.

Prints its port, serves until it is killed.
"""
import asyncio
import ssl
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def stream(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main(kind, cert=None):
    tls = None
    if cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(cert)
    if kind == "protocol":
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=tls)
    else:
        server = await asyncio.start_server(stream, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.install()
# asyncio reads into 256 KiB. Having freed a larger block, as any real program
# has, glibc takes them from its heap; otherwise each read maps memory anew and
# the server is half as fast.
bytes(1 << 20)
asyncio.run(main(*sys.argv[2:]))
