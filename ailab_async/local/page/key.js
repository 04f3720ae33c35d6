/* The key of an engine that wants one: in memory only, never in an address or a storage. */

const byId = (id) => document.getElementById(id);
const dialog = byId("key-dialog");
const field = byId("key");
let key = "";
let asking = null;

export const currentKey = () => key;

/* Ask for a key in place of `refused`; return whether there is another now. However many wait for
   one at once, there is one question. */
export function askForKey(refused) {
  return key === refused ? ask(Boolean(refused)) : Promise.resolve(true); // answered meanwhile
}

function ask(wasRefused) {
  asking ??= new Promise((answered) => {
    byId("key-note").hidden = !wasRefused;
    field.value = "";
    dialog.returnValue = "";
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        const given = dialog.returnValue === "given" ? field.value.trim() : "";
        field.value = "";
        if (given) key = given;
        byId("key-change").hidden = !key;
        answered(Boolean(given));
      },
      { once: true },
    );
    dialog.showModal();
    field.focus();
  });
  return asking;
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("given");
});
byId("key-cancel").addEventListener("click", () => dialog.close(""));
byId("key-change").addEventListener("click", () => ask(false));
