import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { packProject, runProgram } from '../helpers/packed.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
// outside of the project, so that nothing is found in its node_modules
const folder = await mkdtemp(join(tmpdir(), 'package-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const tarball = await packProject(join(folder, 'clone'))

const BODY = `
  const app = Fastify()
  await app.register(sse)
  app.sseRoute('/numbers', { source: () => [{ event: 'n', data: 1 }, { event: 'n', data: 2 }] })
  const stream = await injectSSE(app, { url: '/numbers' })
  const seen = []
  for await (const { data } of stream) seen.push(data)
  await app.close()
  console.log(seen.join())`

const ESM = `import Fastify from 'fastify'
import sse, { defineTopic } from 'fastify-sse-routes'
import { sse as follow } from 'fastify-sse-routes/client'
import { injectSSE } from 'fastify-sse-routes/testing'
if (typeof follow !== 'function' || typeof defineTopic !== 'function') throw new Error('an export is missing')
${BODY}
`

const CJS = `const Fastify = require('fastify')
const sse = require('fastify-sse-routes')
const { sse: named } = require('fastify-sse-routes')
const { sse: follow } = require('fastify-sse-routes/client')
const { injectSSE } = require('fastify-sse-routes/testing')
if (typeof follow !== 'function' || sse.default !== named) throw new Error('an export is missing')
async function main () {${BODY.replace('register(sse)', 'register(named)')}
}
main()
`

const TYPED = `import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'
import { sse as follow } from 'fastify-sse-routes/client'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)
app.sseRoute({
  url: '/rooms/:room',
  schema: { params: Type.Object({ room: Type.String() }) },
  events: { joined: Type.Object({ user: Type.String() }) },
  interval: 1_000,
  payload: ({ params }) => ({ event: 'joined', data: { user: params.room } })
})
app.sseRoute({
  url: '/wrong',
  events: { joined: Type.Object({ user: Type.String() }) },
  interval: 1_000,
  // @ts-expect-error the data has another type
  payload: () => ({ event: 'joined', data: { user: 1 } })
})
export const events = follow('http://127.0.0.1/rooms/1')
`

const OPTIONS = { module: 'NodeNext', moduleResolution: 'NodeNext', target: 'ES2022', lib: ['ES2023', 'DOM', 'DOM.Iterable'], strict: true, noEmit: true, types: ['node'] }

t.test('the tarball has only the build and the texts, and takes less than 400 KB', async (t) => {
  const names = (await runProgram('tar', ['-tzf', tarball], folder)).trim().split('\n')
  t.strictSame([...new Set(names.map((name) => name.split('/')[1]))].sort(), ['LICENSE', 'README.md', 'dist', 'package.json'])
  const { size } = await stat(tarball)
  t.ok(size < 400_000, `${size} bytes`)
})

t.test('the README in the tarball has no links to files, and the README of the repository is as before', async (t) => {
  const text = await runProgram('tar', ['-xzOf', tarball, 'package/README.md'], folder)
  const links = Array.from(text.matchAll(/\]\(([^)]*)\)/g), ([, target = '']) => target)
  t.ok(links.length > 2)
  t.strictSame(links.filter((target) => !/^(https:|#)/.test(target)), [])
  for (const target of links.filter((target) => target.startsWith('#'))) t.ok(text.toLowerCase().includes(`# ${target.slice(1).replaceAll('-', ' ')}\n`), target)
  t.notMatch(text, /mermaid/)
  const [before, after] = [join(root, 'README.md'), join(folder, 'clone/README.md')].map((file) => readFileSync(file, 'utf8'))
  t.equal(after, before)
})

t.test('in an empty folder, the package runs as ES module and as CommonJS', async (t) => {
  const app = await install('app', ['fastify'])
  await writeFile(join(app, 'app.mjs'), ESM)
  await writeFile(join(app, 'app.cjs'), CJS)
  for (const file of ['app.mjs', 'app.cjs']) t.equal((await runProgram(process.execPath, [file], app)).trim(), '1,2', file)
  t.notOk((await readdir(join(app, 'node_modules'))).includes('redis'), 'no client of Redis is installed')
})

for (const version of ['5.9', '6.0']) {
  t.test(`in an empty folder, TypeScript ${version} compiles a program with the types of the package`, async (t) => {
    const app = await install(`typescript-${version}`, ['fastify', '@fastify/type-provider-typebox@5.2', '@sinclair/typebox', `typescript@${version}`, '@types/node@20'])
    await writeFile(join(app, 'app.ts'), TYPED)
    await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...OPTIONS, skipLibCheck: true }, include: ['app.ts'] }))
    t.equal(await runProgram('npx', ['--no-install', 'tsc'], app), '')
    t.match(await runProgram('npx', ['--no-install', 'tsc', '--version'], app), `Version ${version}.`)
  })
}

async function install (name: string, packages: readonly string[]): Promise<string> {
  const path = join(folder, name)
  await mkdir(path)
  await writeFile(join(path, 'package.json'), '{ "name": "app", "private": true, "type": "module" }')
  await runProgram('npm', ['install', '--no-audit', '--no-fund', tarball, ...packages], path)
  return path
}
