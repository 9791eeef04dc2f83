import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { startProgram, testsWith, writeConfiguration } from './program.js'

/** Declares a test with Apache, skipped if it is not installed. */
export const testApache = testsWith({ command: 'apache2', check: ['-v'], package: 'apache2-bin' })

const MODULES = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'filter', 'deflate']

/**
 * Starts Apache in front of an app's port.
 * @param code a virtual host with the ports 3000 of the app and 8080 of Apache
 * @param directives of the server
 * @returns the port of Apache
 */
export async function startApache (t: Test, appPort: number, code: string, directives = ''): Promise<number> {
  const port = await freePort()
  // a worker of root has to have another user
  const user = process.getuid?.() === 0 ? 'User www-data\nGroup www-data\n' : ''
  const { file } = await writeConfiguration(t, 'apache2.conf', (folder) => `${MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so\n`).join('')}${user}${directives}
ServerName localhost
ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${folder}/pid
ErrorLog ${folder}/error.log
Listen 127.0.0.1:${port}
${code.replaceAll('127.0.0.1:3000', `127.0.0.1:${appPort}`).replace('*:8080', `127.0.0.1:${port}`)}`)
  await startProgram(t, 'apache2', ['-D', 'FOREGROUND', '-f', file], port)
  return port
}
