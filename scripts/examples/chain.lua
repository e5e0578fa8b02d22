--[[
Async functions that await each other: a call inside a task, not a switch.
Two users are looked up at once; the two steps of each stay in order.
]]

local async function find_user(id)
  await asyncio.sleep(0.02 * id)
  return {id = id, name = "user " .. id}
end

local async function find_posts(user)
  await asyncio.sleep(0.01)
  return {user.name .. "'s first", user.name .. "'s second"}
end

local async function posts_of(id)
  local user = await find_user(id)
  local posts = await find_posts(user)
  print(("%s: %s"):format(user.name, table.concat(posts, ", ")))
  return #posts
end

local one, two = await asyncio.gather(posts_of(2), posts_of(1))
print(one + two .. " posts")

--> user 1: user 1's first, user 1's second
--> user 2: user 2's first, user 2's second
--> 4 posts
