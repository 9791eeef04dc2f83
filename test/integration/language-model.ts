import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { Test } from 'tap'

/** A server with OpenAI's chat completions endpoint. Its answers go on until `finish()`, so that a slow machine can stop or cut one in the middle. */
export interface LanguageModelServer {
  /** The value of `OPENAI_BASE_URL`. */
  url: string
  /** Ends every open answer, and every later one at its start, with the words "the end.". */
  finish (): void
}

/** Starts the server on a free port and closes it at the end of the test. */
export async function startLanguageModel (t: Test): Promise<LanguageModelServer> {
  const end = new AbortController()
  const server = createServer(async (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = (content: string) => response.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`)
    for (let word = 1; !end.signal.aborted && !response.closed; word++) {
      send(`word ${word} `)
      await wait(100)
    }
    send('the end.')
    response.end('data: [DONE]\n\n')
  })
  t.teardown(() => {
    end.abort()
    server.closeAllConnections()
    server.close()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/v1`, finish: () => { end.abort() } }
}
