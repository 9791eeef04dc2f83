import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string' }, beside: { type: 'string' } }
})

/** Fewer rounds and events: for a look, not for a figure. */
export const quick = values.quick

/** How many rounds, and the time for them, s. */
export function plan (rounds, time) {
  return quick ? { rounds: 3, time: time / 10 } : { rounds, time }
}

/** The measurements to run, by name; all without it. */
export const only = values.only?.split(',')

const BUILD = new URL('../dist/esm/index.js', import.meta.url).href

/** This project, and beside it another build of it, if one was asked for. */
function ours (path, how) {
  const name = how === undefined ? 'ours' : `ours, ${how}`
  const contenders = [{ name, candidate: 'ours', path, build: BUILD }]
  if (values.beside) contenders.push({ name: `${name} (${values.beside})`, candidate: 'ours', path, build: pathToFileURL(`${values.beside}/index.js`).href })
  return contenders
}

/** How many clients at once, by `scale` and `heartbeat`. */
export const MANY = quick ? 2_000 : 8_000

/** By hand and ours. */
export function rawAndOurs (path, ways = [[path]]) {
  return [{ name: 'raw node:http by hand', candidate: 'raw', path }, ...ways.flatMap(([path, how]) => ours(path, how))]
}

/**
 * All candidates that run in Node, on the same path.
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

/** One chunk for all, written past `res.write`: the least that Node lets a delivery of one event cost. */
export const chunks = { name: 'raw, chunks to the sockets', candidate: 'raw', path: '/chunks' }
