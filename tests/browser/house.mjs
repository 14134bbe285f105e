// The daemon under test with a mail server beside it, and browsers that complain: about errors on the console, requests that
// fail, policies that are broken, and what axe-core finds.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync, existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { SMTPServer } from 'smtp-server'

const ROOT = new URL('../..', import.meta.url).pathname
const BINARY = process.env.BREACHCLOCK_TEST_BINARY ?? join(ROOT, 'target/debug/breachclock')
const CHROMIUM = process.env.BREACHCLOCK_TEST_CHROMIUM ??
  ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)
const AXE = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
export const PASSWORD = 'correct horse battery'

export const PHONE = { width: 390, height: 844 }
export const DESK = { width: 1440, height: 1000 }
export const NARROWEST = { width: 320, height: 700 }

export async function freePort () {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

/** A mail server that keeps what it is given: `{ to, text }`, where `text` is the plain part, decoded. */
async function mailServer () {
  const mails = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData (stream, session, done) {
      const chunks = []
      stream.on('data', chunk => chunks.push(chunk))
      stream.on('end', () => {
        const raw = Buffer.concat(chunks).toString('utf8')
        mails.push({ to: session.envelope.rcptTo.map(to => to.address), text: plain(raw), raw })
        done()
      })
    }
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return { mails, port: server.server.address().port, close: () => new Promise(resolve => server.close(resolve)) }
}

/** The plain part of a message, its transfer encoding undone. */
function plain (raw) {
  const part = raw.split(/^--/m).find(part => /content-type: text\/plain/i.test(part)) ?? raw
  const at = part.search(/\r?\n\r?\n/)
  const [head, body] = [part.slice(0, at), part.slice(at)]
  if (/quoted-printable/i.test(head)) {
    const bytes = body.replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)))
    return Buffer.from(bytes, 'latin1').toString('utf8')
  }
  return /base64/i.test(head) ? Buffer.from(body, 'base64').toString('utf8') : body
}

const CONFIG = (port, smtp, extra) => `
[server]
listen = "127.0.0.1:${port}"
public_url = "http://127.0.0.1:${port}"
[data]
dir = "data"
[log]
origin = "browser.test/log"
[smtp]
url = "smtp://127.0.0.1:${smtp}"
from = "Breach desk <desk@acme.example>"
[[entity]]
id = "acme-fr"
name = "Acme SAS"
roles = ["controller"]
established_in = ["FR"]
main_establishment = "FR"
operates_in = ["FR"]
zone = "Europe/Paris"
[[entity]]
id = "grid-it"
name = "Rete SpA"
roles = ["essential-entity"]
established_in = ["IT"]
main_establishment = "IT"
operates_in = ["IT"]
zone = "Europe/Rome"
[[person]]
id = "lea"
name = "Lea Fontaine"
roles = ["security-lead"]
email = "lea@acme.example"
[[person]]
id = "ines"
name = "Ines Moreau"
roles = ["dpo"]
email = "ines@acme.example"
[[rota]]
id = "oncall"
zone = "Europe/Paris"
handover = "Mon 09:00"
people = ["lea", "ines"]
[[policy]]
id = "default"
[[policy.step]]
at = "start"
notify = ["person:lea"]
${extra}`

/** Starts a daemon in a folder of its own. */
export async function house ({ extra = '', port } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'breachclock-browser-'))
  const mail = await mailServer()
  port ??= await freePort()
  writeFileSync(join(dir, 'breachclock.toml'), CONFIG(port, mail.port, extra))
  const child = spawn(BINARY, ['serve', '--config', join(dir, 'breachclock.toml')], { cwd: dir })
  let said = ''
  child.stderr.on('data', chunk => { said += chunk })
  const url = `http://127.0.0.1:${port}`
  await until(async () => (await fetch(`${url}/healthz`).catch(() => null))?.ok, () => `the daemon does not answer: ${said}`)
  const setup = await until(() => said.match(/http:\/\/\S+\/setup\/\S+/)?.[0], () => `no link on the console: ${said}`)
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
  const self = {
    url, dir, setup, browser, mails: mail.mails, binary: BINARY,
    /** A browser of somebody new, or another one of somebody who is logged in: `as`. */
    async person ({ viewport = DESK, scripts = true, as } = {}) {
      const storageState = await as?.context.storageState()
      const context = await browser.newContext({ viewport, javaScriptEnabled: scripts, storageState, acceptDownloads: true, baseURL: url })
      const page = await context.newPage()
      const complaints = []
      page.on('console', message => {
        // the browser says of each page that is refused that it could not be loaded: that is an answer, not a fault
        const refused = /status of 4\d\d/.test(message.text())
        // nor is what a provider's own page cannot load
        const ours = !message.location().url || message.location().url.startsWith(url)
        if (['error', 'warning'].includes(message.type()) && ours && !refused) complaints.push(`console: ${message.text()}`)
      })
      page.on('pageerror', error => complaints.push(`error: ${error}`))
      page.on('response', response => { if (response.status() >= 500) complaints.push(`${response.status()} ${response.url()}`) })
      return { context, page, complaints }
    },
    /** Makes the first administrator, and answers the browser that did. */
    async admin (options = {}) {
      const who = await self.person(options)
      await who.page.goto(setup)
      await who.page.fill('#login', 'ada')
      await who.page.fill('#name', 'Ada Berg')
      await who.page.fill('#password', PASSWORD)
      await who.page.fill('#again', PASSWORD)
      await who.page.click('text=Make the account')
      await who.page.waitForURL('**/account')
      return who
    },
    /** Invites somebody and answers the address of the invitation. */
    async invite (admin, { login, name, role, person = '', entity = '' }) {
      await admin.page.goto('/people#invite')
      await admin.page.fill('#login', login)
      await admin.page.fill('#name', name)
      await admin.page.selectOption('#role', role)
      if (person) await admin.page.selectOption('#person', person)
      if (entity) await admin.page.check(`#invite input[value="${entity}"]`)
      await admin.page.click('text=Make the invitation')
      return (await admin.page.textContent('.note.done code')).trim()
    },
    /** Takes an invitation in a browser of its own. */
    async join (admin, who, options = {}) {
      const invitation = await self.invite(admin, who)
      const them = await self.person(options)
      await them.page.goto(invitation)
      await them.page.fill('#password', PASSWORD)
      await them.page.fill('#again', PASSWORD)
      await them.page.click('text=Set the password and log in')
      await them.page.waitForURL(`${url}/`)
      return them
    },
    /** Reports by the interface, as another tool would; answers the incident. */
    async report (who, body) {
      const cookies = await who.context.cookies()
      const cookie = cookies.map(c => `${c.name}=${c.value}`).join('; ')
      const headers = { cookie, 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' }
      const answer = await fetch(`${url}/api/v1/incidents`, { method: 'POST', headers, body: JSON.stringify(body) })
      assert.equal(answer.status, 201, await answer.clone().text())
      return (await answer.json()).incident
    },
    /** The link out of a mail to `address` about `what`. */
    async link (address, what) {
      const about = mail => mail.to.includes(address) && mail.text.replace(/\s+/g, ' ').includes(what) && mail.text.match(/http:\/\/\S+\/a\/\S+/)?.[0]
      return until(() => mail.mails.map(about).find(Boolean), () => `no mail to ${address} about ${what}: ${said}`)
    },
    /** Unpacks a bundle and verifies it with what a recipient has; answers the folder. */
    async verified (download) {
      const at = mkdtempSync(join(tmpdir(), 'breachclock-bundle-'))
      const out = join(at, 'out')
      await download.saveAs(join(at, 'bundle.zip'))
      execFileSync('python3', ['-m', 'zipfile', '-e', 'bundle.zip', 'out'], { cwd: at })
      execFileSync('sha256sum', ['--strict', '--quiet', '-c', 'SHA256SUMS'], { cwd: out })
      const told = [
        execFileSync('python3', ['verify.py'], { cwd: out, encoding: 'utf8' }),
        execFileSync(BINARY, ['evidence', 'verify', join(at, 'bundle.zip')], { encoding: 'utf8' })
      ]
      for (const text of told) assert.match(text, /^VERIFIED/m)
      return out
    },
    /** Reads pages on a desk, a phone and the narrowest screen, each in light and in dark. */
    async everywhere (who, paths, viewports = [DESK, PHONE, NARROWEST]) {
      const reader = await self.person({ as: who })
      for (const path of paths) {
        await reader.page.goto(path)
        for (const viewport of viewports) {
          await reader.page.setViewportSize(viewport)
          await reader.page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
          await accessible(reader, `${path} at ${viewport.width} px`)
          // the dark changes colours and nothing else
          await reader.page.emulateMedia({ colorScheme: 'dark' })
          await accessible(reader, `${path} at ${viewport.width} px, dark`, ['color-contrast', 'link-in-text-block'])
        }
      }
      quiet(reader)
      await reader.context.close()
    },
    async close () {
      await browser.close()
      child.kill('SIGTERM')
      await new Promise(resolve => child.exitCode === null ? child.on('exit', resolve) : resolve())
      await mail.close()
    },
    said: () => said
  }
  return self
}

/** Waits until `test` answers something, at most for twenty seconds. */
export async function until (test, why = () => 'it does not happen') {
  for (let n = 0; n < 200; n++) {
    const answer = await test()
    if (answer) return answer
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  assert.fail(why())
}

/** Fails on what axe-core finds serious on the page as it is now, and on a page wider than its window. */
export async function accessible ({ page }, what, rules) {
  // the page's policy forbids scripts from elsewhere, and so it should: this one comes past it
  if (!await page.evaluate(() => 'axe' in globalThis)) await page.evaluate(AXE)
  const found = await page.evaluate(runOnly => globalThis.axe.run(document, { runOnly, resultTypes: ['violations'] }),
    rules ?? ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
  const said = found.violations.map(v => `${v.impact} ${v.id}: ${v.help}\n  ${v.nodes.map(n => n.html.slice(0, 160)).join('\n  ')}`)
  assert.deepEqual(said, [], `${what}\n${said.join('\n')}`)
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  const wider = wide <= 1 ? [] : await page.evaluate(() => [...document.querySelectorAll('body *')]
    .filter(element => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .slice(0, 4).map(element => element.outerHTML.slice(0, 120)))
  assert.ok(wide <= 1, `${what} is ${wide} px wider than its window: ${wider.join(' | ')}`)
}

export function quiet (...people) {
  for (const { complaints } of people) assert.deepEqual(complaints, [])
}
