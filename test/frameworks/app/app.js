import { fileURLToPath } from 'node:url'
import autoload from '@fastify/autoload'

const folder = (name) => fileURLToPath(new URL(name, import.meta.url))

/** Server options, which `fastify start --options` reads. */
export const options = { forceCloseConnections: true }

/** An app as `fastify generate` makes it: each plugin and each route is given the options of all. */
export default async function app (fastify, opts) {
  fastify.register(autoload, { dir: folder('plugins'), options: { ...opts } })
  fastify.register(autoload, { dir: folder('routes'), options: { ...opts }, autoHooks: true, cascadeHooks: true })
}
