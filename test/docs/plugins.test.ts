import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { pageOf, root } from './document.js'

const page = pageOf('docs/plugins.md')

/** The rows of all tables: the name in the first cell, the version in the second cell if it is one, and the anchor of the details. */
const rows = Array.from(page.prose.matchAll(/^\| (?:\[(`.*?`)\]\(#([\w-]+)\)|(`.*?)) \| (.*?) \|/gm), ([, linked, anchor, plain, next = '']) => ({
  name: (linked ?? plain ?? '').replaceAll('`', ''),
  anchor,
  version: /^\d+\.\d+\.\d+$/.test(next) ? next : undefined
}))

test('each row is the name of a test that runs the package beside this plugin, in the installed version', (t) => {
  const files = ['test/plugins', 'test/frameworks'].flatMap((folder) => readdirSync(join(root, folder)).filter((name) => name.endsWith('.test.ts')).map((name) => join(root, folder, name)))
  const tried = files.flatMap((file) => Array.from(readFileSync(file, 'utf8').matchAll(/^test\('(.*?)'/gm), ([, name = '']) => name))
  const installed = Object.assign({}, ...['test/frameworks', 'test', ''].map((folder) => JSON.parse(readFileSync(join(root, folder, 'package-lock.json'), 'utf8')).packages))
  t.strictSame(rows.map(({ name }) => name).sort(), tried.sort())
  for (const { name, version } of rows) {
    const { version: run } = installed[`node_modules/${name}`] ?? {}
    t.equal(majorOf(version), majorOf(run), name)
  }
  const [, compression] = /`compression` (\d[\d.]*)/.exec(page.prose) ?? []
  t.equal(majorOf(compression), majorOf(installed['node_modules/compression'].version))
  t.end()
})

test('a result has at most ten words, and each plugin with details has a heading', (t) => {
  for (const { groups: { cell = '' } = {} } of page.prose.matchAll(/^\| [^\n]* \| (?<cell>[^|\n]*) \|$/gm)) {
    t.ok(cell.split(/\s+/).length <= 10, cell)
  }
  const anchors = page.headings.filter(({ level }) => level === 3).map(({ anchor }) => anchor)
  t.strictSame([...new Set(rows.flatMap(({ anchor }) => anchor ?? []))].sort(), anchors.sort())
  t.end()
})

function majorOf (version = ''): string | undefined {
  return version.split('.')[0]
}
