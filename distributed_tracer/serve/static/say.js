// What screen readers say when something has happened that is only seen otherwise.
export function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}
