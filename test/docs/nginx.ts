import type { Test } from 'tap'
import { freePort } from '../helpers/free-port.js'
import { startProgram, testsWith, writeConfiguration } from '../helpers/program.js'
import { pageOf } from './document.js'

const [documented] = pageOf('docs/proxies.md').codeOf('nginx', 'nginx')

/** Declares a test with nginx, skipped if it is not installed. */
export const testNginx = testsWith({ command: 'nginx', check: ['-v'], package: 'nginx-light' })

/**
 * Starts nginx in front of an app's port, as this user.
 * @param code the configuration of a page, with the ports that the page shows
 * @returns the port of nginx
 */
export async function startNginx (t: Test, appPort: number, code: string = documented): Promise<number> {
  const port = await freePort()
  const { folder } = await writeConfiguration(t, 'nginx.conf', (folder) => `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events {}
http {
access_log off; ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
${code.replace('127.0.0.1:3000', `127.0.0.1:${appPort}`).replace('listen 8080', `listen 127.0.0.1:${port}`)}}`)
  await startProgram(t, 'nginx', ['-p', folder, '-e', 'stderr', '-c', 'nginx.conf'], port)
  return port
}
