/** An HTML element with these properties and children; text goes in as text, and what is false is left out. */
export function element (name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children.filter((child) => child !== false && child !== null && child !== undefined))
  return made
}
