import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

const { PATH, HOME } = process.env

/** The environment without the options that npx passes to its command, because the npx that this file starts would take them for its options. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !['npm_config_package', 'npm_config_call'].includes(name)))

export interface Runtime {
  /** The path of the program. */
  program: string
  /** What stands before the script's name. */
  options: string[]
}

const PACKAGES = ['bun@1.4.5', 'deno@2.9.6', 'workerd@1.20261117.1']

/** Runs a command with packages of npm in its PATH, and returns the lines of its output. */
async function withPackages (packages: string[], command: string): Promise<string[]> {
  const { stdout } = await execute('npx', ['--yes', '--prefer-offline', ...packages.map((name) => `--package=${name}`), `--call=${command}`], { env })
  return stdout.trim().split('\n')
}

/** The Node that runs the tests, and Bun and Deno, which npm's packages bring; their paths, because those packages may start them as children. */
export async function findRuntimes (): Promise<Record<string, Runtime>> {
  const [bun = '', deno = ''] = await withPackages(PACKAGES, 'bun -e "console.log(process.execPath)" && deno eval "console.log(Deno.execPath())"')
  return {
    Node: { program: process.execPath, options: [] },
    Bun: { program: bun, options: [] },
    Deno: { program: deno, options: ['run', '--allow-all', '--no-lock'] }
  }
}

/** The versions of Node besides the one that runs the tests, from the oldest to the newest that the package supports. */
export async function findNodes (): Promise<Record<string, Runtime>> {
  const nodes: Record<string, Runtime> = {}
  for (const major of ['20', '22', '24', '26']) {
    if (process.versions.node.startsWith(`${major}.`)) continue
    const [program = ''] = await withPackages([`node@${major}`], 'node -p process.execPath')
    nodes[`Node ${major}`] = { program, options: [] }
  }
  return nodes
}

/** The path of workerd, the runtime of Cloudflare Workers. */
export async function findWorkerd (): Promise<string> {
  const [path = ''] = await withPackages(PACKAGES, 'which workerd')
  return path
}

/** Builds the package as it is published, for `import`, into a folder that finds its dependencies; its path. */
export async function build (): Promise<string> {
  const folder = t.testdir({})
  await execute(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--noCheck', '--declaration', 'false', '--declarationMap', 'false', '--outDir', folder], { cwd: root })
  return folder
}

/** A script of this folder in a separate process, which ends with the test. */
export interface Program {
  /** What it has printed. */
  text: string
  /** Its exit code, and the signal that ended it. */
  ended: Promise<unknown[]>
}

export function runProgram (t: Test, { program: path, options }: Runtime, script: string, env: Record<string, string>): Program {
  const child = spawn(path, [...options, fileURLToPath(new URL(script, import.meta.url))], {
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
