import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import ts from 'typescript'
import { type Block, pathOf, root } from './document.js'

/**
 * Type-checks blocks of TypeScript as this project's own files are: each is a module; one that makes no `app` and
 * names no path goes on with the first one's.
 * @returns the errors of TypeScript, each with its page and line
 */
export function typeErrors (modules: readonly Block[]): string[] {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config
  const options = { ...ts.parseJsonConfigFileContent(config, ts.sys, root).options, noUnusedLocals: false }
  const files = new Map(modules.map(({ code }, index) => [
    join(root, pathOf(code) ?? `snippet-${index}.ts`),
    pathOf(code) !== undefined ? code : index === 0 ? `${code}export { app, Type }` : `${code.includes('const app =') ? '' : 'import { app, Type } from \'./snippet-0.js\'; '}${code}export {}`
  ]))

  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, directoryExists } = host
  host.fileExists = (name) => files.has(name) || fileExists(name)
  host.readFile = (name) => files.get(name) ?? readFile(name)
  host.directoryExists = (name) => [...files.keys()].some((file) => dirname(file) === name) || directoryExists?.(name) === true
  // pages also import packages that only the tests have
  host.resolveModuleNameLiterals = (literals, containing, redirected, options, file) => literals.map((literal) => {
    const resolve = (from: string) => ts.resolveModuleName(literal.text, from, options, host, undefined, redirected, ts.getModeForUsageLocation(file, literal, options))
    const result = resolve(containing)
    return result.resolvedModule === undefined && files.has(containing) ? resolve(join(root, 'test', basename(containing))) : result
  })
  const program = ts.createProgram([...files.keys()], options, host)
  return [...files.keys()].flatMap((name, index) => {
    const file = program.getSourceFile(name)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(({ start = 0, messageText }) => {
      const line = (modules[index]?.line ?? 0) + (file?.getLineAndCharacterOfPosition(start).line ?? 0)
      return `${modules[index]?.page}:${line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
    })
  })
}

/** Returns the names of all properties and methods that the interfaces of a file of lib declare. */
export function membersOf (file: string): string[] {
  const names = new Set<string>()
  function visit (node: ts.Node): void {
    if ((ts.isPropertySignature(node) || ts.isMethodSignature(node)) && ts.isInterfaceDeclaration(node.parent) && ts.isIdentifier(node.name)) names.add(node.name.text)
    ts.forEachChild(node, visit)
  }
  const path = join(root, 'lib', file)
  visit(ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true))
  return [...names]
}
