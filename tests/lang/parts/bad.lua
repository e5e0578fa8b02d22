-- A module that fails after an await.
await asyncio.sleep(0)
error "no good"
