// Bundled by workerd.ts: a worker that answers a request with the lines that client.js prints.
import { sse } from '../../lib/client/index.ts'
import { readStreams } from './client-steps.js'

export default {
  async fetch (_request, { SERVER }, context) {
    const { readable, writable } = new TransformStream()
    const writer = writable.getWriter()
    const encoder = new TextEncoder()
    const print = (...values) => { writer.write(encoder.encode(`${JSON.stringify(values)}\n`)) }
    context.waitUntil(readStreams(sse, SERVER, print).catch((error) => print('error', String(error))).finally(() => writer.close()))
    return new Response(readable)
  }
}
