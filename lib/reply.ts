import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply } from 'fastify'
import { SSE_ERR_REPLY_SENT } from './errors.js'
import { readStreamOptions } from './options.js'
import type { Plugin } from './route.js'
import { isSource, Source } from './source.js'
import { EventStream, type Owner, streamOptions } from './stream.js'
import type { SSESource, SSEStream, SSEStreamOptions } from './types.js'

/** Replies that are an event stream, or were to be one, made by `reply.sse()`. */
const streamed = new WeakSet<FastifyReply>()

/** `reply.sse()`: a stream to write by hand, or a source to stream to its end. */
export function replyWithStream (plugin: Plugin, reply: FastifyReply, first?: unknown, second?: SSEStreamOptions): SSEStream | FastifyReply {
  if (reply.sent || streamed.has(reply)) throw new SSE_ERR_REPLY_SENT()
  const given = isSource(first)
  const own = given ? second : first as SSEStreamOptions | undefined
  const options = own === undefined ? plugin.stream : streamOptions(readStreamOptions(plugin.settings.stream, own))
  const owner = given ? new SourceOwner(first as SSESource) : null
  plugin.limits.admit(reply)
  const clientId = plugin.settings.clientId?.(reply.request)
  const stream = new EventStream(plugin.hub, owner, reply, options, clientId)
  streamed.add(reply)
  stream.start()
  // or else Fastify would send what an async handler returns, while onSend hooks still run
  reply.hijack()
  return given ? reply : stream
}

/**
 * The answer to a request whose onSend hook refused the stream: `reply.sse()` took the reply
 * out of Fastify's hands, so that Fastify cannot give it.
 */
export function answerRefused (reply: FastifyReply, error: FastifyError): void {
  if (!streamed.has(reply) || reply.raw.headersSent) return
  const { statusCode = 500, code, message } = error
  reply.raw.writeHead(statusCode, { 'content-type': 'application/json; charset=utf-8' })
  reply.raw.end(JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message }))
}

/** Streams a source that was given to `reply.sse`. */
class SourceOwner implements Owner {
  readonly #given: SSESource | Promise<SSESource>

  constructor (given: SSESource | Promise<SSESource>) {
    this.#given = given
  }

  async opened (stream: EventStream): Promise<void> {
    const { log } = stream.request
    try {
      const source = new Source(await this.#given, (error) => log.debug({ err: error }, 'failed after its event stream was closed'))
      stream.producer = source
      if (stream.closed) source.stop()
      else await source.pump(stream)
      stream.close()
    } catch (error) {
      log.error(error)
      stream.cut()
    }
  }

  closed (): void {}
}
