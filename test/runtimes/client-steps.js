/** Reads streams of the server at `url` with the client, and prints what it reads. Runs on every runtime. */
export async function readStreams (sse, url, print) {
  const refused = sse(`${url}/refused`)
  await refused.next().catch(({ code, status }) => print('refused', code, status))

  for await (const { event, data } of sse(`${url}/posted`, { method: 'POST', body: '{"n":1}', headers: { 'content-type': 'application/json' } })) print(event, data)

  const events = sse(`${url}/topics`, { retry: { delay: 10 }, text: true, onOpen: ({ attempt }) => print('open', attempt), onRetry: ({ error }) => print('retry', error?.code) })
  for await (const { id, data } of events) {
    print(id, data)
    if (data === 'three') break
  }
  print('left')
}
