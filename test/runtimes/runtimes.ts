import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const { PATH, HOME } = process.env

export interface Runtime {
  /** Its package on npm, which brings the program; none for the Node that runs the tests. */
  package?: string
  /** Prints the path of the program, because npm's may start it as a child. */
  where?: string
  options: string[]
}

export const RUNTIMES: Record<string, Runtime> = {
  Node: { options: [] },
  Bun: { package: 'bun@1.4.5', where: 'bun -e "console.log(process.execPath)"', options: [] },
  Deno: { package: 'deno@2.9.6', where: 'deno eval "console.log(Deno.execPath())"', options: ['run', '--allow-all', '--no-lock'] }
}

async function programOf ({ package: name, where }: Runtime): Promise<string> {
  if (name === undefined || where === undefined) return process.execPath
  const { stdout } = await execute('npx', ['--yes', `--package=${name}`, `--call=${where}`], { env: { PATH, HOME } })
  return stdout.trim()
}

/** Builds the package as it is published, for `import`, into a folder that finds its dependencies; its path. */
export async function build (): Promise<string> {
  const folder = t.testdir({})
  await execute(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--noCheck', '--declaration', 'false', '--declarationMap', 'false', '--outDir', folder], { cwd: root })
  return folder
}

/** A script of this folder in a process of its own, which ends with the test. */
export interface Program {
  /** What it has printed. */
  text: string
  /** Its exit code, and the signal that ended it. */
  ended: Promise<unknown[]>
}

export async function runProgram (t: Test, runtime: Runtime, script: string, env: Record<string, string>): Promise<Program> {
  const child = spawn(await programOf(runtime), [...runtime.options, fileURLToPath(new URL(script, import.meta.url))], {
    cwd: root,
    env: { PATH, HOME, DENO_NO_UPDATE_CHECK: '1', _TAPJS_PROCESSINFO_COVERAGE_: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const program = { text: '', ended: once(child, 'exit') }
  t.teardown(async () => {
    child.kill('SIGKILL')
    await program.ended
  })
  child.stdout.setEncoding('utf8').on('data', (text) => { program.text += text })
  return program
}
