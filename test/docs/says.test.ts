import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { test } from 'tap'
import * as errors from '../../lib/errors.js'
import { sseMetrics } from '../../lib/metrics.js'
import { readPluginOptions } from '../../lib/options/read.js'
import { makeApp } from '../helpers/app.js'
import { membersOf } from './compile.js'
import { manifest, pageOf, root } from './document.js'

const page = pageOf('README.md')
const { blocks, headings, text: readme } = page

test('the contents of the README name every section', (t) => {
  const contents = page.sectionOf('Contents')
  for (const { level, title, anchor } of headings) if (level === 2 && title !== 'Contents') t.ok(contents.includes(`[${title}](#${anchor})`), title)
  t.end()
})

test('each block of the README except drawings and shell commands is run by a test', (t) => {
  const folder = join(root, 'test/docs')
  const tests = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8')).join('')
  const others = blocks.filter(({ language }) => language !== 'sh' && language !== 'mermaid')
  for (const { section, language } of others) t.ok(tests.includes(`codeOf('${section}', '${language}')`), `${section}, ${language}`)
  t.end()
})

test('the scripts, files and packages in the commands of the README exist', (t) => {
  const commands = [...blocks.filter(({ language }) => language === 'sh').map(({ code }) => code), ...readme.matchAll(/`((?:npm|node) .*?)`/g)].join('\n')
  for (const [, script = ''] of commands.matchAll(/npm (?:run )?(?!ci\b|install\b)([\w:]+)/g)) t.ok(script in manifest.scripts, script)
  for (const [, file = ''] of commands.matchAll(/node --import \S+ ((?:demo|examples)\/\S+\.ts)/g)) t.ok(existsSync(join(root, file)), file)
  for (const { code } of blocks.filter(({ language }) => language === 'sh')) {
    for (const [, names = ''] of code.matchAll(/npm install ([^&\n]+)/g)) {
      for (const name of names.trim().split(' ')) t.ok(name === manifest.name || name in manifest.peerDependencies, name)
    }
  }
  t.end()
})

test('the README names every option, member and error code', async (t) => {
  for (const name of ['types.ts', 'stats.ts', 'event/encode.ts', 'backplane.ts', 'metrics.ts', 'client/types.ts'].flatMap(membersOf)) t.ok(new RegExp(`\`(reply\\.|app\\.)?${name}[\`(]`).test(readme), name)
  for (const [code, error] of Object.entries(errors)) if (code.startsWith('SSE_ERR_')) t.equal(page.rowOf(code)[2], String(new (error as new () => { statusCode: number })().statusCode), code)
})

test('the README has a row for every metric', async (t) => {
  const register = new Registry()
  sseMetrics(await makeApp(t), { register })
  for (const { name, type } of await register.getMetricsAsJSON()) t.equal(page.rowOf(name)[2], type, name)
})

test('the defaults in the README are those of the options', async (t) => {
  const { stream, drain, history, openapi } = readPluginOptions({})
  const { heartbeat, maxBufferedBytes, overflow, idleTimeout, maxLifetime } = stream
  t.equal(page.rowOf('drain')[3], `\`{ spread: ${drain.spread}, timeout: ${drain.timeout} }\``)
  t.equal(page.rowOf('history')[3], `\`{ size: ${history.size}, maxAge: ${history.maxAge} }\``)
  t.equal(page.rowOf('overflow')[3], `\`'${overflow}'\``)
  for (const [name, value] of Object.entries({ heartbeat, maxBufferedBytes, idleTimeout, maxLifetime, openapi })) t.match(page.rowOf(name)[3], `\`${value}\``, name)
})

test('the links of the README lead to files and headings, and each dependency has its reason', async (t) => {
  for (const [, target = ''] of readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
    t.ok(target.startsWith('#') ? headings.some(({ anchor }) => anchor === target.slice(1)) : existsSync(join(root, target)), target)
  }
  const justified = [...page.sectionOf('Dependencies').matchAll(/^- `(.*?)`/gm)].map(([, name]) => name)
  t.strictSame(justified.sort(), Object.keys({ ...manifest.dependencies, ...manifest.peerDependenciesMeta }).sort())
})

test('each plugin in the README is one that a test runs beside this one, in the installed version', (t) => {
  const files = ['test/plugins', 'test/frameworks'].flatMap((folder) => readdirSync(join(root, folder)).filter((name) => name.endsWith('.test.ts')).map((name) => join(root, folder, name)))
  const tried = files.flatMap((file) => Array.from(readFileSync(file, 'utf8').matchAll(/^test\('(.*?)'/gm), ([, name = '']) => name))
  const installed = Object.assign({}, ...['test/frameworks', 'test', ''].map((folder) => JSON.parse(readFileSync(join(root, folder, 'package-lock.json'), 'utf8')).packages))
  const named: string[] = []
  for (const [, cell = ''] of page.sectionOf('Beside other plugins').matchAll(/^\| (`.*?) \|/gm)) {
    const [name = '', version] = cell.replaceAll('`', '').split(/ (?=\d)/)
    named.push(name)
    if (version !== undefined) t.equal(majorOf(version), majorOf(installed[`node_modules/${name}`].version), name)
  }
  const clients = clientRows().map(({ name }) => name)
  t.strictSame(named.sort(), tried.filter((name) => !clients.includes(name)).sort())
  t.end()
})

test('each client and runtime in the README has a test, with the version that is installed or that the test starts', (t) => {
  const installed = Object.assign({}, ...['test', ''].map((folder) => JSON.parse(readFileSync(join(root, folder, 'package-lock.json'), 'utf8')).packages))
  const pinned = readFileSync(join(root, 'test/runtimes/runtimes.ts'), 'utf8')
  for (const { name, version, file } of clientRows()) {
    t.ok(existsSync(join(root, file)), file)
    const run = new RegExp(`${name}@([\\d.]+)`, 'i').exec(pinned)?.[1] ?? installed[`node_modules/${name}`]?.version
    if (run !== undefined) t.equal(majorOf(version), majorOf(run), name)
  }
  t.ok(clientRows().length > 0)
  t.end()
})

/** Returns the clients and runtimes in the README, each with the file that runs it. */
function clientRows (): { name: string, version: string, file: string }[] {
  return Array.from(page.sectionOf('Clients and runtimes').matchAll(/^\| `?([^|`]+?)`? \| (\d[^|]*) \| .*\]\((.*?)\) \|$/gm), ([, name = '', version = '', file = '']) => ({ name, version, file }))
}

function majorOf (version = ''): string | undefined {
  return version.split('.')[0]
}
