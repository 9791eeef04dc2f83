import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string' }, beside: { type: 'string' } }
})

/** Fewer rounds and events, for a first look. */
export const quick = values.quick

/** Number of rounds, and the time limit for them, s. */
export function plan (rounds, time) {
  return quick ? { rounds: 3, time: time / 10 } : { rounds, time }
}

/** Names of the measurements to run; undefined for all. */
export const only = values.only?.split(',')

const BUILD = new URL('../dist/esm/index.js', import.meta.url).href

/** This project, and another build of it if `--beside` is given. @param {string} how name of the way @param {object} more further fields of the contender */
function ours (path, how, more) {
  const name = how === undefined ? 'ours' : `ours, ${how}`
  const contenders = [{ name, candidate: 'ours', path, build: BUILD, ...more }]
  if (values.beside) contenders.push({ ...contenders[0], name: `${name} (${values.beside})`, build: pathToFileURL(`${values.beside}/index.js`).href })
  return contenders
}

/** Number of clients in `scale` and `heartbeat`. */
export const MANY = quick ? 2_000 : 8_000

/** Candidates by hand and this project. */
export function rawAndOurs (path, ways = [[path]]) {
  return [{ name: 'raw node:http by hand', candidate: 'raw', path }, ...ways.flatMap(([path, how]) => ours(path, how))]
}

/**
 * Returns all candidates that run in Node, on the same path.
 * @param {string} path @param {string[][]} ways our own paths, each with what it is called, where there are several ways
 */
export function contenders (path, ways = [[path]]) {
  return [
    ...rawAndOurs(path, ways),
    { name: '@fastify/sse', candidate: 'fastify-sse', path },
    { name: 'better-sse', candidate: 'better-sse', path },
    { name: 'fastify-sse-v2', candidate: 'fastify-sse-v2', path }
  ]
}

/** One chunk for all, written to the sockets without `res.write`: the lower bound of a delivery in Node. */
export const chunks = { name: 'raw, chunks to the sockets', candidate: 'raw', path: '/chunks' }

/** Candidates on HTTP/2. */
export function candidatesOnHttp2 () {
  const load = 'load-http2.js'
  return [
    { name: 'raw node:http2, streams', candidate: 'raw', server: 'raw-http2', load, path: '/feed' },
    { name: 'raw node:http2, responses', candidate: 'raw', server: 'raw-http2', load, path: '/response' },
    ...ours('/topic', 'publish', { server: 'ours-http2', load }),
    ...ours('/feed', 'stream.send', { server: 'ours-http2', load })
  ]
}
