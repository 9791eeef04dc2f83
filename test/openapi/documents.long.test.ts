import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'tap'
import { parse } from 'yaml'
import { at } from './app.js'
import { faults } from './validators.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'openapi')
const versions = ['3.0', '3.1', '3.2']

const read = async (version: string) => JSON.parse(await readFile(join(folder, `openapi-${version}.json`), 'utf8'))

test('the documents in openapi/ are up to date: `npm run openapi` changes nothing', async (t) => {
  const fresh = t.testdir()
  // without coverage, because that takes time, and ordinary tests reach every line
  const env = { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  await promisify(execFile)(process.execPath, ['--import=./test/typescript.mjs', join(folder, 'generate.ts'), fresh], { cwd: root, env })
  const files = await readdir(fresh)
  t.strictSame(files, versions.flatMap((version) => [`openapi-${version}.json`, `openapi-${version}.yaml`]))
  for (const file of files) t.equal(await readFile(join(folder, file), 'utf8'), await readFile(join(fresh, file), 'utf8'), file)
})

test('the documents of the examples are valid and equal in JSON and YAML', async (t) => {
  const documents = await Promise.all(versions.map(read))
  for (const [index, version] of versions.entries()) t.strictSame(parse(await readFile(join(folder, `openapi-${version}.yaml`), 'utf8')), documents[index])
  t.strictSame(await faults(...documents), [])
})

test('the document of the examples has every route with its events', async (t) => {
  const names = (item: unknown): unknown => {
    const alternatives = at(item, 'oneOf') ?? [item]
    return Array.isArray(alternatives) && alternatives.flatMap((event) => at(event, 'properties', 'event', 'enum') ?? [])
  }
  const streams: Record<string, unknown> = {}
  const others: string[] = []
  for (const [url, path] of Object.entries(Object(at(await read('3.2'), 'paths')))) {
    for (const [method, operation] of Object.entries(Object(path))) {
      const item = at(operation, 'responses', '200', 'content', 'text/event-stream', 'itemSchema')
      if (item === undefined) others.push(`${method} ${url}`)
      else streams[`${method} ${url}`] = names(item)
    }
  }
  t.strictSame(streams, {
    'get /time': ['message'],
    'get /dashboard': ['vitals'],
    'get /logs': ['line', 'gap'],
    'get /ticker': ['prices', 'gap'],
    'get /stocks/{symbol}': ['history', 'quote'],
    'get /fragments/{library}': ['message', 'datastar-patch-elements', 'datastar-merge-fragments'],
    'post /chats/{chat}': ['question', 'token', 'complete', 'error', 'done'],
    'get /chats/{chat}': ['question', 'token', 'complete', 'error', 'done'],
    'get /chats/{chat}/questions': ['question', 'gap'],
    'get /jobs': ['job', 'gap'],
    'get /jobs/{id}': ['progress', 'error', 'done'],
    'get /ai/chat': ['message'],
    'get /rooms/{room}': ['message', 'gap'],
    'get /notifications': ['user', 'notification', 'gap'],
    'get /orders/{id}': ['state', 'gap'],
    'get /trades/{symbol}': ['trade', 'gap']
  })
  t.strictSame(others, ['delete /chats/{chat}', 'post /jobs', 'delete /jobs/{id}', 'post /rooms/{room}/messages', 'post /session', 'post /sign-out', 'post /notifications', 'post /orders', 'post /trades'])
})
