// echo.mjs callback|await [CERT] - a TCP echo server in Node, with TLS if it is
// given a certificate. Prints its port, serves until it is killed.

import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";

async function stream(socket) {
  for await (const data of socket) {
    if (!socket.write(data)) {
      await new Promise((done) => socket.once("drain", done));
    }
  }
}

function onConnection(socket) {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  if (process.argv[2] === "await") stream(socket).catch(() => {});
  else socket.on("data", (data) => socket.write(data));
}

const pem = process.argv[3] && readFileSync(process.argv[3]);
const server = pem ? createTlsServer({ cert: pem, key: pem }, onConnection)
  : createServer(onConnection);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
