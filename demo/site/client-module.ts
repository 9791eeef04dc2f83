import { readdir, readFile } from 'node:fs/promises'
import { transform } from 'esbuild'
import type { FastifyPluginAsync } from 'fastify'

const folder = new URL('../../lib/client/', import.meta.url)

/** `fastify-sse-routes/client` for browsers, straight from its sources: each loses its types when it is first asked for. */
const clientModule: FastifyPluginAsync = async (app) => {
  for (const file of await readdir(folder)) {
    let module: Promise<{ code: string }> | undefined
    app.get(`/fastify-sse-routes/client/${file.replace(/\.ts$/, '.js')}`, { schema: { hide: true } }, async (_request, reply) => {
      module ??= readFile(new URL(file, folder), 'utf8').then((source) => transform(source, { loader: 'ts', target: 'es2022' }))
      reply.type('text/javascript')
      return (await module).code
    })
  }
}

export default clientModule
