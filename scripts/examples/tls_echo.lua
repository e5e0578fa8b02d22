--[[
A server and a client that talk over TLS. The certificate is made by the
openssl command and trusted by this client alone; a real server has one that
every system trusts.
]]

local fs = require "neap.fs"
local net = require "neap.net"
local process = require "neap.process"

local dir <close> = await fs.temp_dir()
local cert, key = dir:path() .. "/cert.pem", dir:path() .. "/key.pem"
await process.run({"openssl", "req", "-x509", "-nodes", "-days", "1",
  "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
  "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
  "-keyout", key, "-out", cert}, {check = true})

local server <close> = net.listen{tls = {cert = cert, key = key}}
local serving = asyncio.create_task(server:serve(async function(conn)
  for line in conn:lines() do await conn:write(line:upper(), "\n") end
end))

local port = server:sockname().port

local ok, err = pcall(function()
  await net.connect("localhost", port, {tls = true})
end)
print(ok, err.code)
--> false	SELF_SIGNED_CERT

do
  local conn <close> = await net.connect("localhost", port,
    {tls = {ca = cert}})
  print(conn:tls_info().version)
  --> TLSv1.3
  await conn:write("a secret\n")
  print(await conn:read_line())
  --> A SECRET
end

await server:close(1)
await serving
