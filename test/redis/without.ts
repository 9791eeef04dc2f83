import { register } from 'node:module'
import type { Test } from 'tap'
import { redisBackplane } from '../../lib/redis/index.js'
import { makeApp } from '../helpers/app.js'

/** Starts an app with a url, as if the package `redis` was not installed. After it this process cannot resolve the package. */
export async function withoutRedis (t: Test): Promise<void> {
  const hook = `
    export async function resolve (specifier, context, next) {
      if (specifier === 'redis') throw Object.assign(new Error("Cannot find package 'redis'"), { code: 'ERR_MODULE_NOT_FOUND' })
      return next(specifier, context)
    }`
  register(`data:text/javascript,${encodeURIComponent(hook)}`)
  await makeApp(t, { backplane: redisBackplane({ url: 'redis://127.0.0.1:1' }) })
}
