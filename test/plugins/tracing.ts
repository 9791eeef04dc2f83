import { createRequire } from 'node:module'
import { context, type Span, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { type Instrumentation, registerInstrumentations } from '@opentelemetry/instrumentation'
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import type { SSEStream } from '../../lib/index.js'
import { type Client, open, until } from '../helpers/app.js'

/** Sets up OpenTelemetry for this process; instrumentations of Node's modules patch them at once. */
export function startTracing (...instrumentations: Instrumentation[]): Spans {
  const exporter = new InMemorySpanExporter()
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  registerInstrumentations({ instrumentations })
  createRequire(import.meta.url)('http')
  return new Spans(exporter)
}

/** Spans that have ended. */
export class Spans {
  readonly #exporter: InMemorySpanExporter

  constructor (exporter: InMemorySpanExporter) {
    this.#exporter = exporter
  }

  /** The spans of a trace. */
  in (traceId: string): ReadableSpan[] {
    return this.#exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId)
  }

  /** Waits until the span of a name within a trace has ended. */
  async ended (traceId: string, name: string): Promise<ReadableSpan> {
    let span: ReadableSpan | undefined
    await until(`the end of the span "${name}"`, () => (span = this.in(traceId).find((one) => one.name === name)) !== undefined)
    if (span === undefined) throw new Error(`no span "${name}"`)
    return span
  }
}

/** The trace that code runs in. */
export const activeTrace = () => trace.getActiveSpan()?.spanContext().traceId ?? 'none'

/** Runs within a span, a child of the active one. */
export function within<T> (name: string, call: (span: Span) => T): T {
  return trace.getTracer('test').startActiveSpan(name, (span) => {
    try {
      return call(span)
    } finally {
      span.end()
    }
  })
}

/** Tells each client the trace of its request, in the header `x-trace`. */
export function tellTrace (app: FastifyInstance): void {
  app.addHook('onRequest', async (_request, reply) => { reply.header('x-trace', activeTrace()) })
}

/** The trace of a client's request. */
export const traceOf = ({ response }: Client) => String(response.headers['x-trace'])

/** The traces that payloads ran in. */
const tracesIn = ({ text }: Client) => [...new Set(text.match(/(?<=data: )\w+/g))]

/** Declares streams whose callbacks make spans, named by the callback. */
export function declareTraced (app: FastifyInstance): void {
  const callbacks = {
    onConnect: (_request: FastifyRequest, { signal }: SSEStream) => within('onConnect', () => {
      signal.addEventListener('abort', () => within('signal', () => {}))
    }),
    onDisconnect: () => within('onDisconnect', () => {}),
    onError: (error: Error) => within('onError', (span) => { span.recordException(error) })
  }
  app.sseRoute('/interval', { ...callbacks, topics: () => within('topics', () => []), interval: 10, payload: () => within('payload', activeTrace) })
  app.sseRoute('/failing', { ...callbacks, source: async function * () { yield within('source', activeTrace); throw new Error('source') } })
  app.sseRoute('/refused', { topics: () => { throw new Error('topics') } })
  app.get('/by-hand', async (request, reply) => {
    await reply.sse({ onError: callbacks.onError }).send(within('hand', activeTrace))
    throw new Error('hand')
  })
}

/** Two clients on one interval: each callback runs in the trace of its own request. */
export async function checkTraces (t: Test, spans: Spans, port: number): Promise<void> {
  const clients = await Promise.all(['ann', 'bob'].map((name) => open(t, port, `/interval?user=${name}`)))
  t.not(...clients.map(traceOf) as [string, string])
  for (const client of clients) await client.until('data: ', 4)
  for (const client of clients) client.disconnect()
  for (const client of clients) {
    t.strictSame(tracesIn(client), [traceOf(client)])
    for (const name of ['topics', 'onConnect', 'payload', 'signal', 'onDisconnect']) await spans.ended(traceOf(client), name)
  }
}

/** A failed source, or handler, is in the trace of its request where `onError` puts it. */
export async function checkFailures (t: Test, spans: Spans, port: number): Promise<void> {
  for (const [path, message] of [['/failing', 'source'], ['/by-hand', 'hand']]) {
    const client = await open(t, port, `${path}`)
    t.notOk(await client.finished())
    t.strictSame(tracesIn(client), [traceOf(client)])
    t.match(await spans.ended(traceOf(client), 'onError'), { events: [{ name: 'exception', attributes: { 'exception.message': message } }] })
  }
}
