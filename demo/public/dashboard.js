import { follow, tellGap } from './connection.js'
import { liveChart } from './live-chart.js'

const percent = (value) => `${value.toFixed(value < 10 ? 1 : 0)} %`
const megabytes = (value) => `${value.toFixed(0)} MB`
const gigabytes = (bytes) => (bytes / 2 ** 30).toFixed(1)
const milliseconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`
const number = (value) => value.toLocaleString('en', { maximumFractionDigits: 1 })
const fromZero = (least) => (_, max) => [0, Math.max(least, max * 1.15)]
const element = (id) => document.querySelector(`#${id}`)

const cpu = liveChart(element('cpu'), {
  label: 'CPU',
  series: [{ label: 'host', format: percent }, { label: 'this process', format: percent }],
  range: fromZero(100),
  tick: (value) => `${value} %`
})
const memory = liveChart(element('memory'), {
  label: 'Memory',
  series: [{ label: 'resident', format: megabytes }, { label: 'heap', format: megabytes }],
  range: fromZero(64),
  tick: (value) => `${value} MB`
})
const delay = liveChart(element('delay'), {
  label: 'Event-loop delay',
  series: [{ label: 'mean', format: milliseconds }, { label: 'longest', format: milliseconds }],
  range: fromZero(5),
  tick: (value) => `${value} ms`
})
const traffic = liveChart(element('traffic'), {
  label: 'Traffic',
  series: [{ label: 'open streams', format: number }, { label: 'requests/s', format: number }],
  range: fromZero(5),
  tick: (value) => Number.isInteger(value) ? value : ''
})

/** Adds what was measured in one second to all charts; whether seconds before it are missing. */
function show (vitals) {
  const missing = cpu.add(vitals.time, vitals.hostCpu, vitals.processCpu)
  memory.add(vitals.time, vitals.rss / 2 ** 20, vitals.heapUsed / 2 ** 20)
  delay.add(vitals.time, vitals.eventLoopDelay, vitals.eventLoopDelayMax)
  traffic.add(vitals.time, vitals.streams, vitals.requests)
  element('measured').textContent = new Date(vitals.time).toLocaleTimeString([], { hourCycle: 'h23' })
  element('host-memory').textContent = `${gigabytes(vitals.hostMemory)} of ${gigabytes(vitals.hostMemoryTotal)} GB`
  return missing
}

// The server sends what this page has missed. Where it was another process that has not measured it, the charts have a hole.
for await (const { data } of follow('/dashboard')) {
  if (data.map(show).includes(true)) tellGap()
}
