// Started by clients.long.test.ts on Node, Bun and Deno: prints what the built client reads.
import process from 'node:process'

const { sse } = await import(`${process.env.PLUGIN}/client/index.js`)
const url = process.env.SERVER
const print = (...values) => console.log(JSON.stringify(values))

const refused = sse(`${url}/refused`)
await refused.next().catch(({ code, status }) => print('refused', code, status))

for await (const { event, data } of sse(`${url}/posted`, { method: 'POST', body: '{"n":1}', headers: { 'content-type': 'application/json' } })) print(event, data)

const events = sse(`${url}/topics`, { retry: { delay: 10 }, text: true, onOpen: ({ attempt }) => print('open', attempt), onRetry: ({ error }) => print('retry', error?.code) })
for await (const { id, data } of events) {
  print(id, data)
  if (data === 'three') break
}
print('left')
