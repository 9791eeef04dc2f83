import { readFile } from 'node:fs/promises'
import type { FastifyPluginAsync } from 'fastify'

/** The files of the page libraries, by the path that serves them. */
const files = {
  '/page-libraries/htmx-2.js': 'htmx.org/dist/htmx.min.js',
  '/page-libraries/htmx-2-sse.js': 'htmx-ext-sse/dist/sse.min.js',
  '/page-libraries/htmx-4.js': 'htmx-4/dist/htmx.min.js',
  '/page-libraries/htmx-4-sse.js': 'htmx-4/dist/ext/hx-sse.min.js',
  '/page-libraries/datastar.js': '@starfederation/datastar/dist/datastar.js',
  '/page-libraries/turbo.js': '@hotwired/turbo/dist/turbo.es2017-esm.js'
}

const folder = new URL('../../node_modules/', import.meta.url)

/** htmx, Datastar and Turbo, from the packages that npm has installed. */
const pageLibraryFiles: FastifyPluginAsync = async (app) => {
  for (const [path, file] of Object.entries(files)) {
    app.get(path, { schema: { hide: true } }, async (_request, reply) => {
      reply.type('text/javascript')
      return readFile(new URL(file, folder))
    })
  }
}

export default pageLibraryFiles
