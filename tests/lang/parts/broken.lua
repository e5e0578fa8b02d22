local async function f()
  await f(
end
