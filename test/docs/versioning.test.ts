import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify from 'fastify'
import { test } from 'tap'
import sse from '../../lib/index.js'
import { manifest, pageOf, root } from './document.js'

const page = pageOf('docs/versioning.md')

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const { packages } = JSON.parse(read('package-lock.json'))
const inTests = JSON.parse(read('test/package-lock.json')).packages
const { engines, dependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(read('package.json'))

/** Returns the cells "supported" and "tested with" of a row. */
function versionsOf (name: string): string[] {
  const row = page.sectionOf('Supported versions').split('\n').find((line) => line.startsWith(`| ${name} |`)) ?? ''
  return row.split('|').slice(2, 4).map((cell) => cell.trim())
}

/** Returns the beginning of the version that is installed: one number, or two. */
function installed (name: string, numbers = 2, from = packages): string {
  return from[`node_modules/${name}`].version.split('.').slice(0, numbers).join('.')
}

test('the versions in the table are those of package.json, of the lock files and of the script that tests them', (t) => {
  t.strictSame(versionsOf('Node'), [`\`${engines.node}\``, /set -- ([\d ]+)$/m.exec(read('.ci/versions'))?.[1]?.split(' ').join(', ')])
  t.strictSame(versionsOf('Fastify'), [`\`${peerDependencies.fastify}\``, installed('fastify')])
  t.strictSame(versionsOf('TypeScript'), ['none required', installed('typescript')])
  t.strictSame(versionsOf('`prom-client`'), [`\`${peerDependencies['prom-client']}\``, installed('prom-client')])
  t.strictSame(versionsOf('`redis`'), [`\`${peerDependencies.redis}\``, `${installed('redis-5', 1, inTests)}, ${installed('redis', 1)}`])
  t.strictSame(versionsOf('`ioredis`')[1], `${installed('ioredis-5', 1, inTests)}, ${installed('ioredis', 1)}`)
  t.end()
})

test('a change is tested on the oldest and the newest of these versions of Node', (t) => {
  const tested = Array.from(read('.ci/run').matchAll(/\.ci\/versions (\d+)$/gm), ([, version]) => version)
  t.match(page.sectionOf('Node'), `on Node ${tested.join(' and ')}, the oldest and the newest`)
  t.end()
})

test('the plugin declares 5.x to Fastify, which refuses it in another version', (t) => {
  const declared = Object.getOwnPropertySymbols(sse).map((symbol) => Reflect.get(sse, symbol)).find((value) => typeof value === 'object')
  t.match(declared, { fastify: '5.x', name: manifest.name })
  t.match(Fastify().version, /^5\./)
  t.end()
})

test('the entries on the page are those of the package', (t) => {
  const entries = Object.keys(manifest.exports).filter((name) => name !== './package.json').map((name) => join(manifest.name, name))
  const line = page.text.split('\n').find((line) => line.startsWith('- **Entries**')) ?? ''
  t.strictSame(line.match(/(?<=`)fastify-sse-routes[\w/]*(?=`)/g), entries)
  t.end()
})

test('each dependency and optional peer has its reason', (t) => {
  const justified = [...page.sectionOf('Dependencies').matchAll(/^- `(.*?)`/gm)].map(([, name]) => name)
  t.strictSame(justified.sort(), Object.keys({ ...dependencies, ...peerDependenciesMeta }).sort())
  const optional = [...page.sectionOf('Dependencies').matchAll(/^- `(.*?)`, an optional peer/gm)].map(([, name]) => name)
  t.strictSame(optional.sort(), Object.keys(peerDependenciesMeta).sort())
  t.end()
})

test('the change log follows Semantic Versioning, and says that a minor version before 1.0 may break', (t) => {
  t.match(read('CHANGELOG.md'), /https:\/\/semver\.org.*before 1\.0\.0 a minor version may break/)
  t.match(page.sectionOf('What a version may change'), /minor.*public parts may break \|/)
  t.match(page.sectionOf('Supported versions'), 'Only the newest 0.x version')
  t.match(read('SECURITY.md'), 'The newest version of 0.x gets fixes')
  t.end()
})
