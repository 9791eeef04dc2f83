/** An HTML element with these properties and children; text goes in as text, and what is false is left out. */
export function element (name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children.filter((child) => child !== false && child !== null && child !== undefined))
  return made
}

/** A description's text, with what stands between backticks as code: so much of Markdown it has. */
export function prose (text) {
  return text.split('`').map((part, index) => index % 2 === 1 ? element('code', {}, part) : part)
}
