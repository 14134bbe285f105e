// Somebody with a keyboard and nothing else: Tab, Shift+Tab, Enter, Space, letters, and the arrows within a group of choices.

import assert from 'node:assert/strict'

/** Stops of the longest page, with room. */
const MOST = 600

/** What is wrong with how the focus can be seen on the page as it is now; empty when it is plain to see. Runs in the page. */
function unseen () {
  const element = document.activeElement
  if (!element || element === document.body) return ''
  // on a button inside a field, such as the one with the calendar, the browser draws the focus itself
  if (!element.matches(':focus')) return ''
  // a choice that is drawn by its label lies over it without a colour of its own
  const shown = getComputedStyle(element).opacity === '0' ? element.closest('label') : element
  const style = getComputedStyle(shown)
  if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) return 'nothing is drawn around it'
  const box = shown.getClientRects()[0]
  const [left, right] = [Math.max(box?.left, 0), Math.min(box?.right, innerWidth)]
  const [top, bottom] = [Math.max(box?.top, 0), Math.min(box?.bottom, innerHeight)]
  if (!(right - left > 1 && bottom - top > 1)) return 'it is outside the window'
  const points = [[0.5, 0.5], [0.1, 0.5], [0.9, 0.5], [0.5, 0.1], [0.5, 0.9]]
  const over = points.map(([x, y]) => document.elementFromPoint(left + x * (right - left), top + y * (bottom - top)))
  return over.some(found => shown.contains(found)) ? '' : `covered by ${over[0]?.outerHTML.slice(0, 120)}`
}

/** The keys of somebody's page; `ours` says whether how the focus is drawn there is ours to answer for. */
export async function keyboard ({ page }, ours = () => true) {
  const session = await page.context().newCDPSession(page)
  /** Role and name of what has the focus, as the browser tells them to a screen reader. */
  async function focused () {
    const { result } = await session.send('Runtime.evaluate', { expression: 'document.activeElement' })
    const { nodes } = await session.send('Accessibility.getPartialAXTree', { objectId: result.objectId, fetchRelatives: false })
    // the style sheet draws a tick before what is chosen
    return { role: nodes[0].role?.value ?? '', name: nodes[0].name?.value ?? '' }
  }
  async function tab (back) {
    await page.keyboard.press(back ? 'Shift+Tab' : 'Tab')
    const fault = ours(page.url()) ? await page.evaluate(unseen) : ''
    if (fault) assert.fail(`the focus on ${JSON.stringify(await focused())} of ${page.url()} cannot be seen: ${fault}`)
  }
  const self = {
    /** Presses Tab until what has the focus has this name (and role); at each stop the focus can be seen. */
    async to (name, { role, back = false } = {}) {
      const passed = []
      // twice round the page, and nothing
      while (passed.filter(one => !one).length < 3) {
        const now = await focused()
        const fits = name instanceof RegExp ? name.test(now.name) : now.name === name
        if (fits && (!role || now.role === role)) return
        passed.push(now.role === 'none' ? '' : `${now.role} “${now.name}”`)
        assert.ok(passed.length < MOST, `no end of stops on ${page.url()}`)
        await tab(back)
      }
      assert.fail(`Tab does not reach ${name} on ${page.url()}; it passed ${passed.slice(-60).join(', ')}`)
    },
    /** Goes round the whole page, and so sees each stop. */
    async round (back = false) {
      for (let stops = 0; stops < MOST; stops++) {
        await tab(back)
        if (stops > 0 && await page.evaluate(() => document.activeElement === document.body)) return
      }
      assert.fail(`no end of stops on ${page.url()}`)
    },
    press: key => page.keyboard.press(key),
    type: text => page.keyboard.type(text),
    /** Goes to a field and types. */
    async fill (name, text) {
      await self.to(name)
      await page.keyboard.type(text)
    },
    /** Presses what has the focus, and waits for the page it leads to. */
    async enter () {
      const gone = page.waitForEvent('framenavigated', frame => frame === page.mainFrame())
      await page.keyboard.press('Enter')
      await gone
      await page.waitForLoadState()
    },
    /** Goes to a link or button and presses it. */
    async follow (name, options) {
      await self.to(name, options)
      await self.enter()
    }
  }
  return self
}
