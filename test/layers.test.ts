import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const lib = join(root, 'lib')
const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).sort()

/** Folders, flat files and single files of lib, low to high, as in docs/architecture.md. A file belongs to the lowest layer that names it or its folder. A layer may import from itself and from lower ones. */
const LAYERS = [
  ['errors', 'clock', 'topic', 'timer-list'],
  ['client'],
  ['event'],
  ['topics'],
  ['types', 'app-types', 'backplane', 'diagnostics', 'stats', 'runs/store'],
  ['stream'],
  ['runs'],
  ['pubsub'],
  ['options'],
  ['routes'],
  ['openapi'],
  ['index'],
  ['redis', 'metrics', 'testing']
]

/** Imports of types that go up, because client/index.ts exports the type `EventsOf` for clients. They are nothing at run time. */
const EXCEPTIONS = ['client/index.ts > event/types.ts']

const FLAT_FILES = 12
const LINES = 300

/** Files of lib that a file imports or exports from, types included, also by `import()`. */
function importsOf (file: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(lib, file), 'utf8'))
  return importedFiles.map(({ fileName }) => fileName).filter((name) => name.startsWith('.'))
    .map((name) => relative(lib, join(lib, dirname(file), name.replace(/\.js$/, '.ts'))))
}

const imports = new Map(files.map((file) => [file, importsOf(file)]))

function layerOf (file: string): number {
  const path = file.replace(/\.ts$/, '')
  const [name = ''] = path.split('/')
  return LAYERS.findIndex((names) => names.includes(path) || names.includes(name))
}

test('each file of lib belongs to a layer, and imports no file of a higher one', (t) => {
  for (const [file, imported] of imports) {
    t.not(layerOf(file), -1, `${file} is in LAYERS`)
    for (const other of imported) {
      const name = `${file} > ${other}`
      t.ok(files.includes(other), name)
      if (!EXCEPTIONS.includes(name)) t.ok(layerOf(other) <= layerOf(file), name)
    }
  }
  t.end()
})

test('imports of lib form no circle', (t) => {
  const circles = new Set<string>()
  const done = new Set<string>()
  const visit = (file: string, path: string[]) => {
    const start = path.indexOf(file)
    if (start >= 0) circles.add([...path.slice(start), file].join(' > '))
    if (start >= 0 || done.has(file)) return
    for (const other of imports.get(file) ?? []) visit(other, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  t.strictSame([...circles], [])
  t.end()
})

test(`lib has at most ${FLAT_FILES} files outside its folders, and no file over ${LINES} lines`, (t) => {
  t.ok(files.filter((file) => dirname(file) === '.').length <= FLAT_FILES)
  for (const file of files) {
    const { length } = readFileSync(join(lib, file), 'utf8').trimEnd().split('\n')
    t.ok(length <= LINES, `${file}: ${length} lines`)
  }
  t.end()
})

test('each file of lib has a test of its path, or names its test in its first comment', (t) => {
  for (const file of files) {
    const path = `test/${file.replace(/\.ts$/, '')}`
    const [comment = ''] = /\/\*\*[^]*?\*\/|\/\/.*/.exec(readFileSync(join(lib, file), 'utf8')) ?? []
    const named = comment.match(/\btest\/[\w./-]+\.(test|tst)\.ts\b/g) ?? []
    const mirrored = [`${path}.test.ts`, `${path}.long.test.ts`].filter((name) => existsSync(join(root, name)))
    t.ok(named.length + mirrored.length > 0, file)
    for (const name of named) t.ok(existsSync(join(root, name)), `${file}: ${name}`)
  }
  t.end()
})

test('the tree in docs/architecture.md has a line for each file of lib and for no other', (t) => {
  const tree = /^lib\/\n([^]*?)\n```/m.exec(readFileSync(join(root, 'docs/architecture.md'), 'utf8'))?.[1] ?? ''
  const listed: string[] = []
  let folder = ''
  for (const line of tree.split('\n')) {
    const [, indent = '', name = '', text = ''] = /^( +)(\S+) +(\S.*)$/.exec(line) ?? []
    t.not(text, '', line)
    if (indent.length === 2) folder = name.endsWith('/') ? name : ''
    if (!name.endsWith('/')) listed.push(folder + basename(name))
  }
  t.strictSame(listed.sort(), files)
  t.end()
})

test('each folder of tests that .taprc excludes runs in one process, by test/all-<folder>.test.ts', (t) => {
  const excluded = Array.from(readFileSync(join(root, '.taprc'), 'utf8').matchAll(/- test\/([\w-]+)\/\*\.test\.ts/g), ([, folder]) => folder)
  const run = readdirSync(join(root, 'test')).flatMap((name) => /^all-(.+)\.test\.ts$/.exec(name)?.[1] ?? [])
  t.strictSame(run.sort(), excluded.sort())
  for (const folder of run) t.match(readFileSync(join(root, 'test', `all-${folder}.test.ts`), 'utf8'), `await importTests('${folder}')`)
  t.end()
})

test('tests of `npm test` import only packages that `npm ci` installs at the top', (t) => {
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' }).filter((name) => /(?<!\.long)\.test\.ts$/.test(name) && !/node_modules|^(frameworks|vitest)/.test(name))
  for (const name of tests) {
    for (const [, target = ''] of readFileSync(join(root, 'test', name), 'utf8').matchAll(/^import .*from '((?:@[\w.-]+\/)?[\w-][\w.-]*)(?:\/[^']*)?'$/gm)) {
      if (target !== 'fastify-sse-routes') t.ok(existsSync(join(root, 'node_modules', target)), `${name}: ${target}`)
    }
  }
  t.end()
})
