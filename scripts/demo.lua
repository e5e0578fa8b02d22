--[[
demo.lua - what `make run` shows: neap at work on its own repository.

A small server on loopback hands out the repository's documents line by line,
every fourth one slowly, and some it does not send at all when first asked. A
pool of clients reads them all and counts their words. On the way:

  gather      two questions to the server at once, to begin with
  Queue       of 8: who finds work cannot run ahead of those who do it
  TaskGroup   the pool of clients; if one fails, all end
  Semaphore   more clients than the server wants connections
  timeout     a document that does not come in time is asked for again
  cancel      a follower that would read for ever says goodbye first
]]

local net = require "neap.net"

local CLIENTS, CONNECTIONS = 8, 4   -- tasks, and connections they share
local BATCH = 3                     -- documents asked for in one breath
local PATIENCE = 0.3                -- seconds for one document

-- == What there is to read ==============================================

local ROOT = (arg and arg[0] or ""):match "^(.*)[/\\][^/\\]*$" or "."

-- Those of the names that are there are read.
local NAMES = [[
README.md Makefile doc/language.md doc/internals.md doc/embedding.md
doc/modules/asyncio.md doc/modules/net.md lib/buf.h lib/buf.c lib/heap.h
lib/heap.c lib/ring.h lib/ring.c lib/slab.h lib/slab.c vm/include/neap.h
vm/vm.h vm/vm.c vm/async.c vm/base.c vm/callback.c vm/coro.c vm/error.c
vm/future.c vm/gather.c vm/group.c vm/handle.c vm/load.c vm/loop.c vm/main.c
vm/task.c vm/timeout.c vm/translate.h vm/translate.c vm/wait.c
stdlib/asyncio/asyncio.lua stdlib/asyncio/context.lua
stdlib/asyncio/groups.lua stdlib/asyncio/locks.lua stdlib/asyncio/loop.lua
stdlib/asyncio/queues.lua stdlib/net/net.lua stdlib/net/net.c
stdlib/net/connect.c stdlib/net/read.c stdlib/net/server.c stdlib/net/stream.c
stdlib/net/write.c tests/run.lua tests/harness.lua scripts/demo.lua
scripts/examples/cancel.lua scripts/examples/crawler.lua
scripts/examples/gather.lua scripts/examples/task_group.lua
scripts/examples/timeouts.lua]]

-- The documents that exist, in order: {name =, lines =}.
local function load_documents()
  local found = {}
  for name in NAMES:gmatch "%S+" do
    local file = io.open(ROOT .. "/../" .. name)
    if file then
      local lines = {}
      for line in file:lines() do lines[#lines + 1] = line end
      file:close()
      found[#found + 1] = {name = name, lines = lines}
      found[name] = found[#found]
    end
  end
  return found
end

local documents = load_documents()
for i, document in ipairs(documents) do
  document.slow = i % 4 == 0
  document.stalls = i % 11 == 3  -- not sent at all the first time
end

-- == The server =========================================================

local abandoned = 0  -- requests that were cut off in the middle

-- Sends one document: its number of lines, then the lines.
local async function send_document(conn, name)
  local document = documents[name]
  if not document then return await conn:write "no such document\n" end
  local complete = false
  local _ <close> = asyncio.defer(function()
    if not complete then abandoned = abandoned + 1 end
  end)
  if document.stalls then
    document.stalls = false
    await asyncio.sleep(3600)
  end
  local lines = document.lines
  local part = math.max(1, #lines // 10)
  await conn:write(("%d lines\n"):format(#lines))
  for i, line in ipairs(lines) do
    await conn:write(line, "\n")
    if document.slow and i % part == 0 then await asyncio.sleep(0.018) end
  end
  complete = true
end

local async function send_names(conn)
  await conn:write(("%d documents\n"):format(#documents))
  for _, document in ipairs(documents) do
    await conn:write(document.name, "\n")
  end
end

-- Sends lines for ever, until anything comes from the other side.
local async function stream(conn)
  do
    local tg <close> = asyncio.TaskGroup()
    tg:create_task((async function()
      for i = 1, math.huge do
        await conn:write(("line %d of many\n"):format(i))
        await asyncio.sleep(0.005)
      end
    end)())
    await conn:read_line()
    tg:cancel()
  end
  await conn:write "goodbye\n"
end

-- Answers one request after the other; a client need not wait for an answer
-- before it sends the next.
local async function answer(conn)
  for request in conn:lines() do
    local verb, rest = request:match "^(%u+) ?(.*)$"
    if verb == "GET" then
      await send_document(conn, rest)
    elseif verb == "LIST" then
      await send_names(conn)
    elseif verb == "FOLLOW" then
      await stream(conn)
    elseif verb == "HELLO" then
      await asyncio.sleep(0.02)
      await conn:write("neap on ", _VERSION, "\n")
    end
  end
end

-- Serves one connection. A client that leaves early is no failure.
local async function handle(conn)
  local ok, err = pcall(await, answer(conn))
  if not ok and not asyncio.iserror(err, asyncio.OSError) then error(err, 0) end
end

-- == The clients ========================================================

local started = asyncio.time()
local port
local connections = asyncio.Semaphore(CONNECTIONS)
local index = {words = {}, best = {}, lines = 0, total = 0, documents = 0}
local requests, late = 0, 0

local function log(text, ...)
  print(("%6.2f s  " .. text):format(asyncio.time() - started, ...))
end

-- Adds a document to the index: how often each word is in all of them, and
-- in which one it is most often.
local function count_words(name, lines)
  local here = {}
  for _, line in ipairs(lines) do
    for word in line:lower():gmatch "%a+" do
      index.total = index.total + 1
      here[word] = (here[word] or 0) + 1
    end
  end
  for word, n in pairs(here) do
    local best = index.best[word]
    index.words[word] = (index.words[word] or 0) + n
    if not best or n > best.n then
      index.best[word] = {n = n, name = name}
    end
  end
  index.lines = index.lines + #lines
  index.documents = index.documents + 1
end

-- The lines of an answer that begins with their number.
local async function read_lines(conn)
  local head = await conn:read_line()
  local count = head and tonumber(head:match "^%d+")
  if not count then error("the server said: " .. tostring(head)) end
  local lines = {}
  for i = 1, count do lines[i] = await conn:read_line() end
  return lines
end

-- Asks for several documents in one breath, counts the words of those that
-- come in time and gives the names of the others.
local async function fetch(names, patience)
  local _ <close> = await connections:acquire()
  local conn <close> = await net.connect("127.0.0.1", port)
  await conn:write("GET ", table.concat(names, "\nGET "), "\n")
  requests = requests + #names
  local received = 0
  local ok, err = pcall(function()
    for _, name in ipairs(names) do
      local limit <close> = asyncio.timeout(patience)
      count_words(name, await read_lines(conn))
      received = received + 1
    end
  end)
  if not ok and not asyncio.iserror(err, asyncio.TimeoutError) then
    error(err, 0)
  end
  return {table.unpack(names, received + 1)}
end

local async function client(queue)
  for name in queue:items() do
    local names, patience = {name}, PATIENCE
    while #names < BATCH and not queue:empty() do
      names[#names + 1] = queue:get_nowait()
    end
    while #names > 0 do
      names = await fetch(names, patience)
      if #names > 0 then
        late = late + 1
        log("%s did not come within %g s: asking again", names[1], patience)
        patience = patience * 2
      end
    end
  end
end

local async function ask(question)
  local conn <close> = await net.connect("127.0.0.1", port)
  await conn:write(question, "\n")
  if question == "LIST" then return await read_lines(conn) end
  return await conn:read_line()
end

-- Reads until it is cancelled; then tells the server, and waits for its word.
local async function follow()
  local conn <close> = await net.connect("127.0.0.1", port)
  local seen, last = 0, nil
  local _ <close> = asyncio.defer(function()
    await conn:write "BYE\n"
    repeat last = await conn:read_line() until last == "goodbye" or not last
    log("the follower was cancelled after %d lines and said %s", seen, last)
  end)
  await conn:write "FOLLOW\n"
  for _ in conn:lines() do seen = seen + 1 end
end

-- == The result =========================================================

local function thousands(n)
  local text = tostring(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

local function most_frequent(least_length, count)
  local list = {}
  for word, n in pairs(index.words) do
    if #word >= least_length then list[#list + 1] = {word = word, n = n} end
  end
  table.sort(list, function(a, b)
    if a.n ~= b.n then return a.n > b.n end
    return a.word < b.word
  end)
  return {table.unpack(list, 1, count)}, #list
end

local function print_result(seconds)
  local top, different = most_frequent(5, 10)
  local function row(label, value) print(("%12s  %s"):format(value, label)) end
  print()
  row("documents", thousands(index.documents))
  row("lines", thousands(index.lines))
  row("words", thousands(index.total))
  row("different words of five letters and more", thousands(different))
  row("requests over " .. CONNECTIONS .. " connections at a time",
    thousands(requests))
  row("timed out and asked again", late)
  row("left unfinished by the server", abandoned)
  row("seconds", ("%.2f"):format(seconds))
  print()
  for _, entry in ipairs(top) do
    local bar = ("#"):rep(math.max(1, entry.n * 20 // top[1].n))
    local best = index.best[entry.word]
    print(("%12s  %-10s %-20s  %d in %s"):format(thousands(entry.n),
      entry.word, bar, best.n, best.name))
  end
end

-- == All together =======================================================

do
  local server <close> = net.listen{host = "127.0.0.1", port = 0}
  port = server:sockname().port
  local serving = asyncio.create_task(server:serve(handle), {name = "server"})
  log("serving %d documents on 127.0.0.1:%d", #documents, port)

  local names, hello = await asyncio.gather(ask "LIST", ask "HELLO")
  log("%s offers %d documents", hello, #names)
  local follower = asyncio.create_task(follow(), {name = "follower"})

  do
    local queue = asyncio.Queue(8)
    local clients <close> = asyncio.TaskGroup()
    for i = 1, CLIENTS do
      clients:create_task(client(queue), {name = "client " .. i})
    end
    for _, name in ipairs(names) do await queue:put(name) end
    queue:shutdown()
  end
  log("%d clients have read everything", CLIENTS)

  follower:cancel()
  await asyncio.wait {follower}
  serving:cancel()
  await asyncio.wait {serving}
end

print_result(asyncio.time() - started)
