import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyPluginAsync } from 'fastify'
import clientModule from './client-module.js'
import { highlight, pluginBody, readDemoFile } from './demo-code.js'
import pageLibraryFiles from './page-library-files.js'
import type { Page } from './pages.js'
import reactModule from './react-module.js'
import { shell, type ShownCode } from './shell.js'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const hidden = { schema: { hide: true } }

/** The pages of the demo and their assets, all from this project and its node_modules, without a build step. */
const site: FastifyPluginAsync<{ pages: Page[] }> = async (app, { pages }) => {
  for (const page of pages) {
    app.get(page.path, hidden, async (_request, reply) => {
      const parts = await readFile(path(`../pages/${page.name}.html`), 'utf8')
      reply.type('text/html; charset=utf-8')
      return shell(page, parts, await Promise.all(page.files.map(show)), pages)
    })
  }
  for (const name of new Set(pages.flatMap(({ files }) => files))) {
    app.get(`/source/${name}.ts`, hidden, async (_request, reply) => {
      reply.type('text/plain; charset=utf-8')
      return readDemoFile(name)
    })
  }
  app.register(clientModule)
  app.register(reactModule)
  app.register(pageLibraryFiles)
  app.register(fastifyStatic, { root: path('../public'), index: false })
  app.register(fastifyStatic, { root: path('../../node_modules/uplot/dist'), prefix: '/uplot/', decorateReply: false })
  // the site of the documentation, if `npm run docs` has built it
  const guide = path('../../site/dist')
  if (existsSync(guide)) app.register(fastifyStatic, { root: guide, prefix: '/guide/', decorateReply: false })
  app.register(fastifyStatic, { root: path('../../node_modules/eventsource-parser/dist'), prefix: '/eventsource-parser/', decorateReply: false })
}

async function show (name: string): Promise<ShownCode> {
  const body = pluginBody(await readDemoFile(name))
  return { name, lines: body.split('\n').length, html: highlight(body) }
}

export default site
