import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { freePort } from '../helpers/free-port.js'
import { isListening } from '../helpers/is-listening.js'
import { until } from '../helpers/until.js'
import { pageOf } from './document.js'

// path of Debian's package, which is in the PATH of root only
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
const there = isThere()
const [documented] = pageOf('docs/proxies.md').codeOf('nginx', 'nginx')

if (!there) console.error('There is no nginx on the PATH (apt-get install nginx-light): the tests with nginx are skipped')

/** Declares a test with nginx, skipped if it is not installed. */
export function testNginx (name: string, run: (t: Test) => Promise<void>): void {
  if (there) test(name, run)
  else test(name, { skip: 'there is no nginx' }, () => {})
}

function isThere (): boolean {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore', env })
    return true
  } catch {
    return false
  }
}

/**
 * Starts nginx in front of an app's port, as this user.
 * @param code the configuration of a page, with the ports that the page shows
 * @returns the port of nginx
 */
export async function startNginx (t: Test, appPort: number, code: string = documented): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'nginx-'))
  const port = await freePort()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
  await writeFile(join(folder, 'nginx.conf'), `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events {}
http {
access_log off; ${temporary}
${code.replace('127.0.0.1:3000', `127.0.0.1:${appPort}`).replace('listen 8080', `listen 127.0.0.1:${port}`)}}`)

  const child = spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', 'nginx.conf'], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const over = once(child, 'exit')
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await over
    await rm(folder, { recursive: true, force: true })
  })
  await until('nginx to listen', () => {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${errors}`)
    return isListening(port)
  })
  return port
}
