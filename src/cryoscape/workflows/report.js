for (const movie of document.querySelectorAll(".movie")) {
  const stage = movie.querySelector(".stage > img");
  const slider = movie.querySelector("input");
  const button = movie.querySelector("button");
  const shown = movie.querySelector("output");
  const tiles = [...movie.querySelectorAll(".tile")];
  let timer = null;
  let step = 1;
  const show = (i) => {
    slider.value = i;
    stage.src = tiles[i].querySelector("img").src;
    shown.textContent = tiles[i].querySelector("b").textContent;
    tiles.forEach((tile, j) => tile.classList.toggle("on", j === i));
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  slider.addEventListener("input", () => { stop(); show(+slider.value); });
  tiles.forEach((tile, i) => tile.addEventListener("click", () => { stop(); show(i); }));
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    button.textContent = "Pause";
    timer = setInterval(() => {
      const i = +slider.value;
      if (i + step > tiles.length - 1 || i + step < 0) step = -step;
      show(Math.min(Math.max(i + step, 0), tiles.length - 1));
    }, 180);
  });
  show(0);
}
