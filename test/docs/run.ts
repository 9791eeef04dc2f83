import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import ts from 'typescript'
import { manifest, pageOf, root } from './document.js'

let modules = 0

/** Converts a block to JavaScript, with lib in place of the package. */
export function toJavaScript (code: string): string {
  let source = code
  for (const [entry, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'string') continue
    const file = join(root, target.import.default.replace('./dist/esm', 'lib'))
    source = source.replaceAll(`'${join(manifest.name, entry)}'`, JSON.stringify(pathToFileURL(file).href))
  }
  return ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } }).outputText
}

/** Runs code of a page as a module in the test's folder, beside other files. Returns one of its variables. */
export async function run<Value> (t: Test, code: string, name: string, files: Record<string, string> = {}): Promise<Value> {
  const file = `snippet-${++modules}.mjs`
  const folder = t.testdir({ ...files, [file]: toJavaScript(`${code}\nexport { ${name} }`) })
  return (await import(join(folder, file)))[name]
}

/** Runs code that makes an `app`, which is closed at the end of the test. */
export async function runApp (t: Test, code: string, files?: Record<string, string>): Promise<FastifyInstance> {
  // close() would wait for a connection that a client opens at a disconnect or in advance
  const app = await run<FastifyInstance>(t, code.replace('Fastify()', 'Fastify({ forceCloseConnections: true })'), 'app', files)
  t.teardown(() => app.close())
  return app
}

/** Returns the route in ten lines without its listen() call, with code before and after its routes. */
export function tenLines ({ before = '', after = '' }: { before?: string, after?: string }): string {
  const [code] = pageOf('README.md').codeOf('A route in ten lines', 'ts')
  return code.replace('\napp.sseRoute', () => `\n${before}\napp.sseRoute`).replace(/^await app\.listen.*$/m, () => after)
}

/** Collects the lines for the console from now on instead of printing them. */
export function logged (t: Test): unknown[][] {
  const lines: unknown[][] = []
  const { log } = console
  t.teardown(() => { console.log = log })
  console.log = (...line) => { lines.push(line) }
  return lines
}
