export default { test: { include: ['fake-timers.ts'] } }
