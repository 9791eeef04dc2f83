import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

/** Paths of nginx and its module nchan in Debian's packages nginx-light and libnginx-mod-nchan. */
export const NGINX = '/usr/sbin/nginx'
export const MODULE = '/usr/lib/nginx/modules/ngx_nchan_module.so'

/** Path of the first missing file, of the two or of the one that nginx's CPU is read from; undefined if all exist. */
export const missing = [NGINX, MODULE, '/proc/self/schedstat'].find((path) => !existsSync(path))

/** nchan as a contender, if it is installed. */
export function nchan () {
  return missing === undefined ? [{ name: 'nchan', candidate: 'nchan', path: '/feed' }] : []
}

export function versions () {
  const [nginx] = spawnSync(NGINX, ['-v'], { encoding: 'utf8' }).stderr.match(/[\d.]+/)
  const [, module] = readFileSync(MODULE, 'latin1').match(/\0(\d+\.\d+\.\d+)\0/)
  return `nginx ${nginx}, nchan ${module}`
}
