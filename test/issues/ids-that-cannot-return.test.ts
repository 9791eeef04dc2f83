// Symptom: a client reconnects for ever, or ends with 400, after an event with an unusual id.
// Cause: an id with control characters, or longer than a header may be, cannot be sent back as Last-Event-ID.
import { test } from 'tap'
import { sse, type SSEClientOptions, SSEError } from '../../lib/client/index.js'
import { encode } from '../../lib/event/encode.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp } from '../helpers/app.js'
import { ends, serve } from '../client/server.js'

const refused = { code: 'SSE_ERR_FIELD', message: /^The field "id" of an event takes text of at most 8000 bytes, without control characters \(but TAB\) and DEL, got "/ }
const REFUSED = [...Array.from({ length: 0x20 }, (_, code) => code).filter((code) => code !== 9), 0x7f]
const hex = (code: number) => `U+${code.toString(16)}`

test('an id with a character that no client can send back in a header is refused', (t) => {
  for (const code of REFUSED) t.throws(() => encode({ id: `a${String.fromCharCode(code)}b`, data: 1 }), refused, hex(code))
  t.end()
})

test('an id of more than 8000 bytes is refused', (t) => {
  for (const id of ['x'.repeat(8_001), 'é'.repeat(4_001), '𝄞'.repeat(2_001), 'x'.repeat(200_000)]) {
    t.throws(() => encode({ id, data: 1 }), refused, `${id.length} characters`)
  }
  t.throws(() => encode({ id: 'x'.repeat(8_001) }), { message: new RegExp(`got "${'x'.repeat(40)}…"$`) }, 'the message contains the first 40 characters')
  t.end()
})

test('an id that cannot be sent back is refused in the first and in later items of a source', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { openOn: 'first-event', source: () => [{ id: 'a\x01b', data: 1 }] })
  app.sseRoute('/later', { source: () => [{ id: '1', data: 1 }, { id: 'a\x7fb', data: 1 }] })
  const response = await app.inject('/')
  t.match([response.statusCode, response.json()], [500, refused])
  const stream = await injectSSE(app, { url: '/later' })
  t.match(await stream.next(), { id: '1' })
  await t.rejects(stream.next(), { code: 'LIGHT_ECONNRESET' })
})

test('every valid id is received as Last-Event-ID unchanged', async (t) => {
  const ids = [...Array.from({ length: 0x20 }, (_, i) => `a${String.fromCharCode(0x80 + i)}b`), 'a\tb', 'a b', '…', '𝄞', '\ufeff1', ':', '"', 'x'.repeat(8_000), 'é'.repeat(4_000)]
  const app = await makeApp(t)
  const returned: Array<string | null> = []
  app.sseRoute<{ Params: { place: number } }>('/:place', {
    source: function * ({ params }, stream) {
      returned.push(stream.lastEventId)
      yield { id: ids[params.place], data: 1 }
    }
  })
  const port = await listen(app)
  for (const [place, id] of ids.entries()) {
    returned.length = 0
    const events = sse(`http://127.0.0.1:${port}/${place}`, { retry: { delay: 0 } })
    await events.next()
    await events.next()
    await events.return?.()
    t.equal(returned[1], id, JSON.stringify(id.slice(0, 40)))
  }
})

/** Returns the error that ends a client after at most three retries. */
async function failure (url: string, options: SSEClientOptions = {}): Promise<unknown> {
  try {
    const events = sse(url, { retry: { delay: 1, maxRetries: 3 }, ...options })
    while (!(await events.next()).done);
  } catch (error) {
    return error
  }
}

test('the client ends with an error when the last id cannot be sent back in a header', async (t) => {
  const given = { ...Object.fromEntries(REFUSED.filter((code) => ![0, 0xa, 0xd].includes(code)).map((code) => [hex(code), `a${String.fromCharCode(code)}b`])), 'of 16,385 bytes': 'é'.repeat(8_193), 'of 200,000 bytes': 'x'.repeat(200_000) }
  for (const [what, id] of Object.entries(given)) {
    const { url, requests } = await serve(t, ends(`id: ${id}\ndata: 1\n\n`))
    let retries = 0
    const error = await failure(url, { onRetry: () => { retries++ } })
    t.ok(error instanceof SSEError, what)
    t.match(error, { code: 'SSE_ERR_LAST_EVENT_ID', message: /^The last event's id "[^"]{1,60}" cannot be sent back: a header takes text of at most 16384 bytes, without control characters/ }, what)
    t.strictSame([requests.length, retries], [1, 0], 'without a retry')
  }
})

test('the client continues after an id that cannot be sent back, as long as it does not need to reconnect with it', async (t) => {
  const stream = 'id: a\x01b\ndata: 1\n\nid: 2\ndata: 2\n\n'
  const { url, requests } = await serve(t, ends(stream), (response) => { response.writeHead(204).end() })
  t.equal(await failure(url, { retry: { delay: 1 } }), undefined)
  t.strictSame(requests.map(({ headers }) => headers['last-event-id']), [undefined, '2'])
  const once = await serve(t, ends('id: a\x01b\ndata: 1\n\n'))
  t.equal(await failure(once.url, { reconnect: false }), undefined)
})

test('the client refuses an id that cannot be sent back as the option lastEventId', (t) => {
  for (const lastEventId of ['a\x01b', '1\r\nx-forged: 1', 'a\x7f', 'x'.repeat(16_385)]) {
    t.throws(() => sse('http://127.0.0.1', { lastEventId }), { name: 'SSEError', code: 'SSE_ERR_OPTION', message: /^The option "lastEventId" takes .* at most 16384 bytes, .*, got "[^"]{1,60}"$/ })
  }
  t.end()
})

test('the client sends an id of 15,000 characters, which a header can hold', async (t) => {
  const id = 'x'.repeat(15_000)
  const { url, requests } = await serve(t, ends(`id: ${id}\ndata: 1\n\n`), (response) => { response.writeHead(204).end() })
  t.equal(await failure(url, { retry: { delay: 1 } }), undefined)
  t.equal(requests[1]?.headers['last-event-id'], id)
})
