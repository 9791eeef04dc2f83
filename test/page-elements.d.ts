/** The members of elements that tests read in a page. The types of React declare both interfaces without members. */
interface ScrolledElement {
  scrollTop: number
  scrollHeight: number
  clientHeight: number
}
interface HTMLElement extends ScrolledElement {}
interface SVGElement extends ScrolledElement {}
