// echo.mjs callback|await - a TCP echo server in Node. Prints its port, serves
// until it is killed.

import { createServer } from "node:net";

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

const server = createServer(onConnection);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
