import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, release, totalmem, type } from 'node:os'
import * as nginx from './nginx.js'
import * as redis from './redis.js'

const require = createRequire(import.meta.url)

/** Describes the machine and the versions of the measured packages. */
export function machine () {
  const processors = cpus()
  return [
    `${processors.length} × ${processors[0].model}, ${Math.round(totalmem() / 2 ** 30)} GB, ${type()} ${release()}`,
    [`Node ${process.versions.node}`, ...['fastify', '@fastify/sse', 'better-sse', 'fastify-sse-v2'].map((name) => `${name} ${version(name)}`)].join(', '),
    nginx.missing === undefined ? nginx.versions() : `nchan is left out: there is no ${nginx.missing}`,
    redis.missing === null ? `${redis.version}, client node-redis ${version('redis')}` : `no processes, no redis and only a part of scale, because there is no ${redis.missing}`
  ].join('\n')
}

/** Returns the version of an installed package, also if its `exports` hide package.json. */
function version (name) {
  for (const folder of require.resolve.paths(name)) {
    try {
      return JSON.parse(readFileSync(`${folder}/${name}/package.json`, 'utf8')).version
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    }
  }
}
