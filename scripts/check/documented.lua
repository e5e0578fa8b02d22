-- documented.lua - prints every public Lua name that its page does not have.
--
--   neap scripts/check/documented.lua stdlib/asyncio/ stdlib/net/ ...
--
-- A page is doc/modules/NAME.md. Public are the fields of a module and the
-- methods of its classes but for those that begin with an underscore.

local missing = 0

local function complain(...)
  missing = missing + 1
  print(("%s: no word about %s"):format(...))
end

local function has_word(page, name)
  return page:find("%f[%w_]" .. name .. "%f[^%w_]") ~= nil
end

local function check(page, path, label, t, seen)
  if seen[t] then return end
  seen[t] = true
  for name, value in pairs(t) do
    if type(name) == "string" and not name:find "^_" then
      local full = label .. "." .. name
      if not has_word(page, name) then complain(path, full) end
      if type(value) == "table" then check(page, path, full, value, seen) end
    end
  end
end

for _, room in ipairs(arg) do
  local name = room:match "([^/]+)/*$"
  local ok, module = pcall(require, "neap." .. name)
  local path = "doc/modules/" .. name .. ".md"
  local file = io.open(path)
  if not file then
    complain(path, "neap." .. name)
  elseif ok and type(module) == "table" then
    check(file:read "a", path, name, module, {})
  end
  if file then file:close() end
end

os.exit(missing == 0)
