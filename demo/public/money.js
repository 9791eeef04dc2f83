const signed = (amount) => `${amount < 0 ? '−' : '+'}${Math.abs(amount).toFixed(2)}`

export const money = (amount) => amount.toFixed(2)
export const whole = (amount) => amount.toLocaleString('en')

/** How a price moved since the day began, for an element: told by an arrow, a sign and a colour. */
export function change ({ price, open }) {
  const amount = price - open
  return {
    textContent: `${amount < 0 ? '▼' : '▲'} ${signed(amount)} (${signed(100 * amount / open)} %) today`,
    className: amount < 0 ? 'down' : 'up'
  }
}

/** The same, short. */
export function shortChange ({ price, open }) {
  const amount = 100 * (price - open) / open
  return { textContent: `${amount < 0 ? '▼' : '▲'} ${signed(amount)} %`, className: amount < 0 ? 'down' : 'up' }
}
