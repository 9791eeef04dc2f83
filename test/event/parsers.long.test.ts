import { deepStrictEqual, match, throws } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { EventSource as PackageEventSource } from 'eventsource'
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { test, type Test } from 'tap'
import { EventSource as UndiciEventSource } from 'undici'
import { encode, type SSEInput, type SSEPayload } from '../../lib/event/encode.js'
import { numRuns, seed } from '../fuzz/runs.js'

/** An event as a client reads it. */
interface Received {
  event: string
  data: string
  id: string
}

/** A parser: the events that it reads from a stream in pieces. */
type Read = (pieces: Uint8Array[]) => Promise<Received[]>

/** An event that is sent after a stream, so that its reader knows the end. */
const LAST = 'the last event of all'
const END = Buffer.from(`event: ${LAST}\ndata\n\n`)

/** Starts a server for the streams of a test. Returns a reader over HTTP that reports events of all names. */
async function serve (t: Test): Promise<(Source: new (url: string) => EventTarget & { close (): void }) => Read> {
  const streams = new Map<string, Uint8Array[]>()
  const server = createServer(async (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const piece of streams.get(request.url ?? '') ?? []) {
      response.write(piece)
      await setImmediate()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  let asked = 0

  return (Source) => async (pieces) => {
    const path = `/${asked++}`
    streams.set(path, [...pieces, END])
    const source = new Source(`http://127.0.0.1:${port}${path}`)
    const received: Received[] = []
    await new Promise<void>((resolve, reject) => {
      source.dispatchEvent = (event) => {
        if ('data' in event && 'lastEventId' in event) {
          if (event.type === LAST) resolve()
          else received.push({ event: event.type, data: String(event.data), id: String(event.lastEventId) })
        } else if (event.type === 'error') {
          reject(new Error('The connection was lost'))
        }
        return true
      }
    })
    source.close()
    streams.delete(path)
    return received
  }
}

/** Reads with eventsource-parser, including comments, `retry:` and errors. */
function parse (pieces: Uint8Array[]) {
  const seen = { events: new Array<Received>(), comments: new Array<string>(), retries: new Array<number>(), errors: new Array<string>() }
  const parser = createParser({
    onEvent: ({ event = 'message', data, id = '' }) => { if (event !== LAST) seen.events.push({ event, data, id }) },
    onComment: (comment) => { seen.comments.push(comment) },
    onRetry: (retry) => { seen.retries.push(retry) },
    onError: (error) => { seen.errors.push(error.message) }
  })
  const decoder = new TextDecoder()
  for (const piece of [...pieces, END]) parser.feed(decoder.decode(piece, { stream: true }))
  return seen
}

test('the parsers conform to the standard, for whole streams and byte by byte', async (t) => {
  const over = await serve(t)
  const [readByPackage, readByUndici] = [over(PackageEventSource), over(UndiciEventSource)]
  const message = (data: string, id = '') => ({ event: 'message', data, id })
  const table: Array<[stream: string, events: Received[]]> = [
    ['data:test\r\ndata\ndata:test\r\n\r', [message('test\n\ntest')]],
    [
      'data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n',
      [message('\0\n 2\n1\n3\n\n4')]
    ],
    ['data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n', [message('msg\nmsg'), message(''), message('end')]],
    ['id: 1\ndata: 1\n\nid:\ndata:2\n\ndata:3\n\n', [message('1', '1'), message('2'), message('3')]],
    ['id: …\nevent: é\ndata: 𝄞\n\n', [{ event: 'é', data: '𝄞', id: '…' }]]
  ]
  for (const [stream, events] of table) {
    const bytes = Buffer.from(stream)
    for (const pieces of [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte))]) {
      const name = `${JSON.stringify(stream)} in ${pieces.length}`
      t.same(parse(pieces).events, events, `eventsource-parser: ${name}`)
      t.same(await readByPackage(pieces), events, `eventsource: ${name}`)
      t.same(await readByUndici(pieces), events, `undici: ${name}`)
    }
  }
  t.same(parse([Buffer.from('retry:03000\n\nretry:1000x\n\n')]).retries, [3000])
})

// Text that could break a line, start a field or get lost, mixed with any other text.
const hostile = fc.array(fc.oneof(
  fc.constantFrom(
    '\r', '\n', '\r\n', '\n\n', '\r\r', '\0', '\uFEFF', ':', ' ', '\t', '\v', '\f', '\u0085', '\u2028', '\u2029',
    'data: injected', 'event: injected', 'id: injected', 'retry: 1', 'data', '%s', 'é', '…', '𝄞', '\uD834', '\uDD1E'
  ),
  fc.string({ unit: 'binary', maxLength: 3 })
), { maxLength: 12 }).map((parts) => parts.join(''))
const oneLine = hostile.map((text) => text.replace(/[\r\n\0]/g, ''))
const inHeader = hostile.map((text) => text.replace(/[^\t -~\x80-\uffff]/g, ''))

const fields = {
  id: fc.oneof(inHeader, fc.integer(), fc.double()),
  event: oneLine,
  comments: fc.oneof(hostile, fc.array(hostile, { maxLength: 3 })),
  data: fc.oneof({ weight: 3, arbitrary: hostile }, { weight: 1, arbitrary: fc.jsonValue() }),
  retry: fc.nat()
}
const payloads = fc.array(fc.oneof(
  { weight: 6, arbitrary: fc.record(fields, { requiredKeys: [] }) },
  { weight: 2, arbitrary: fc.record(fields, { requiredKeys: ['data'] }) },
  { weight: 1, arbitrary: hostile },
  { weight: 1, arbitrary: fc.constantFrom(null, undefined) }
), { minLength: 1, maxLength: 6 })
const cuts = fc.array(fc.nat(), { maxLength: 40 })

/** The bytes of events, cut at any place, within characters too. */
function wire (events: SSEInput[], places: number[]): Uint8Array[] {
  const bytes = Buffer.from(events.map((event) => encode(event)).join(''))
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...ends, bytes.length].map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end)).filter((piece) => piece.length > 0)
}

/** Text as a client reads it: line breaks are LF, and lone surrogates are replaced, because UTF-8 has no bytes for them. */
function received (text: string): string {
  return Buffer.from(text.replace(/\r\n?/g, '\n')).toString()
}

/** @param idStays true as in the standard; two of the parsers give an event only the id that was sent with it */
function expected (events: SSEInput[], idStays: boolean): Received[] {
  let last = ''
  return events.flatMap((input) => {
    const { id, event, data }: SSEPayload = typeof input === 'string' ? { data: input } : input ?? {}
    if (id !== undefined) last = received(String(id))
    else if (!idStays) last = ''
    if (data === undefined) return []
    return [{ event: received(event || 'message'), data: received(typeof data === 'string' ? data : JSON.stringify(data)), id: last }]
  })
}

test('eventsource-parser reads exactly the events that are sent', async () => {
  fc.assert(fc.property(payloads, cuts, (events, places) => {
    const objects = events.filter((event) => typeof event === 'object' && event !== null)
    deepStrictEqual(parse(wire(events, places)), {
      events: expected(events, false),
      comments: objects.flatMap(({ comments = [] }) => comments).flatMap((comment) => received(comment).split('\n')),
      retries: objects.flatMap(({ retry = [] }) => retry),
      errors: []
    })
  }), { seed, numRuns: numRuns(1_000) })
})

test('two EventSources read exactly the events that are sent', async (t) => {
  const over = await serve(t)
  const [readByPackage, readByUndici] = [over(PackageEventSource), over(UndiciEventSource)]
  await fc.assert(fc.asyncProperty(payloads, cuts, async (events, places) => {
    const pieces = wire(events, places)
    const [byPackage, byUndici] = await Promise.all([readByPackage(pieces), readByUndici(pieces)])
    deepStrictEqual(byPackage, expected(events, false))
    deepStrictEqual(byUndici, expected(events, true))
  }), { seed, numRuns: numRuns(300) })
})

test('an encoded event has one blank line, at its end, and only LF as line break', async () => {
  fc.assert(fc.property(payloads, (events) => {
    for (const event of events) {
      const text = encode(event)
      match(text, /^(([^\r\n]+\n)+\n)?$/)
    }
  }), { seed, numRuns: numRuns(1_000) })
})

test('an id or event name with a line break is refused in any payload', async () => {
  const breaking = fc.tuple(hostile, fc.constantFrom('\r', '\n', '\r\n', '\0'), hostile).map((parts) => parts.join(''))
  fc.assert(fc.property(fc.record(fields, { requiredKeys: [] }), fc.constantFrom('id', 'event'), breaking, (payload, field, text) => {
    throws(() => encode({ ...payload, [field]: text }), { code: 'SSE_ERR_FIELD' })
  }), { seed, numRuns: numRuns(500) })
})
