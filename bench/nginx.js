import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

/** nginx and its module nchan, where Debian's packages nginx-light and libnginx-mod-nchan put them. */
export const NGINX = '/usr/sbin/nginx'
export const MODULE = '/usr/lib/nginx/modules/ngx_nchan_module.so'

/** Which of the two is not there, or what else is needed to read nginx's CPU. */
export const missing = [NGINX, MODULE, '/proc/self/schedstat'].find((path) => !existsSync(path))

/** nchan as a contender, if it is there. */
export function nchan () {
  return missing === undefined ? [{ name: 'nchan', candidate: 'nchan', path: '/feed' }] : []
}

export function versions () {
  const [nginx] = spawnSync(NGINX, ['-v'], { encoding: 'utf8' }).stderr.match(/[\d.]+/)
  const [, module] = readFileSync(MODULE, 'latin1').match(/\0(\d+\.\d+\.\d+)\0/)
  return `nginx ${nginx}, nchan ${module}`
}
