/* Attune (MIT), with Preact (MIT, copyright (c) 2015-present Jason Miller). Made by npm run build of 15cb3d007d6b11508e73bc0bbb9e15432a4b5224ecff2d1247c1c69df5d418c2 */
var S,jt,zn,V,ht,We,It,Xe,Wt,_t,gt,qn,Me=Symbol.for("pv"),ze={},qe=[],Un=/^m(i|n|o|s|text|space)$/,vt=Array.isArray,zt=qe.
slice,ae=Object.assign;function oe(e){e&&e.parentNode&&e.remove()}function He(e,t,n,o,a){var s={type:e,props:t,key:n,ref:o,__k:null,__:null,__b:0,__e:null,__c:null,constructor:Me,__v:a||
++jt,__i:-1,__u:0};return!a&&S.vnode&&S.vnode(s),s}function T(e){return e.children}function je(e,t){this.props=e,this.context=t,this.__g=0}function K(e,t){if(t==null)return e.
__&&K(e.__,e.__i+1);for(var n;t<e.__k.length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!="function"||e.
props.__P?null:K(e)}function Vn(e){var t,n=e.__v,o=n.__e,a=[],s=[],i=e.__P;i&&((t=ae({constructor:Me},n)).__v=n.__v+1,S.
vnode&&S.vnode(t),bt(i,t,n,e.__n,i.namespaceURI,32&n.__u?[o]:null,a,o||K(n),32&n.__u,s),t.__v=n.__v,t.__.__k[t.__i]=t,Qt(
a,t,s),n.__=n.__e=null,t.__e!=o&&qt(t))}function qt(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){
return t&&(e.__e=t.__e)}),qt(e)}function Xt(e){(8&e.__g||(e.__g|=8,V.push(e),We++))&&ht==S.debounceRendering||((ht=S.debounceRendering)||
queueMicrotask)(Ut)}function Ut(){try{for(var e,t=1;V.length;)V.length>t&&V.sort(It),e=V.shift(),t=V.length,8&e.__g&&Vn(
e)}finally{(We=V.length)&&(ht||queueMicrotask)(Ut)}}function Vt(e,t,n,o,a,s,i,l,u,f,c){var p,m,d,h,x,b,_=o.__k||qe,g=t.length;
for(u=Kn(n,t,_,u,g),p=0;p<g;p++)(d=n.__k[p])!=null&&(m=~d.__i&&_[d.__i]||ze,d.__i=p,b=bt(e,d,m,a,s,i,l,u,f,c),h=d.__e,(m.
ref!=d.ref||8&m.__u)&&(m.ref&&yt(m.ref,null,d,m),d.ref&&c.push(d.ref,d.__c||h,d)),x=x||h,4&d.__u?(u=Kt(d,u,e,!m.__v),m.__e&&
(m.__e=null)):typeof d.type=="function"&&b!==void 0?u=b:h&&(u=h.nextSibling),d.__u&=-21);return n.__e=x,u}function Kn(e,t,n,o,a){
var s,i,l,u,f,c,p,m,d,h=n.length,x=h,b=0,_=0,g=e.__k=Array(a);for(s=0;s<a;s++)(i=t[s])!=null&&typeof i!="boolean"&&typeof i!=
"function"?(typeof i!="object"||i.constructor===String?i=g[s]=He(null,i):vt(i)?i=g[s]=He(T,{children:i}):i.constructor===
Me&&i.__b?i=g[s]=He(i.type,i.props,i.key,i.ref,i.__v):g[s]=i,u=s+b,i.__=e,i.__b=e.__b+1,l=null,~(f=i.__i=Gn(i,n,u,x))&&(x--,
(l=n[f])&&(l.__u|=2)),l&&l.__v?(i.__u|=16,f==u-1?b--:f==u+1?b++:f!=u&&(f>u?b--:b++,_=1)):(~f||(a>h?b--:a<h&&b++),typeof i.
type!="function"&&(i.__u|=4))):g[s]=null;if(_){for(c=[],p=[],s=0;s<a;s++)if((i=g[s])&&16&i.__u){for(b=0,m=c.length;b<m;)
c[d=b+m>>1]<i.__i?b=d+1:m=d;c[b]=i.__i,p[s]=b+1}for(b=c.length;s--;)p[s]&&(p[s]==b?b--:g[s].__u|=4)}if(x)for(s=0;s<h;s++)
!(l=n[s])||2&l.__u||(l.__e==o&&(o=K(l)),wt(l,l));return o}function Kt(e,t,n,o){var a,s,i,l;if(typeof e.type=="function"){
if(e.props.__P)return t;if(a=e.__k)for(s=0;s<a.length;s++)a[s]&&(a[s].__=e,t=Kt(a[s],t,n,!1));return t}for(t&&!t.parentNode&&
(t=K(e))&&!t.parentNode&&(t=null),i=e.__e,l=t;l&&l.nodeType==8;)l=l.nextSibling;for(i!=l&&(!o&&n.moveBefore&&i.parentNode?
n.moveBefore(i,t):n.insertBefore(i,t||null)),t=i;(t=t&&t.nextSibling)&&t.nodeType==8&&!t.data.startsWith("$s"););return t}function Gn(e,t,n,o){var a,s=e.key,i=e.type,l=t[n],u=l&&!(2&l.__u);if(l===null&&s==null||u&&s==l.key&&i==l.type)return n;
if(o>(u?1:0)){for(a=n-1;a>=0;a--)if((l=t[a])&&!(2&l.__u)&&s==l.key&&i==l.type)return a;for(a=n+1;a<t.length;a++)if((l=t[a])&&
!(2&l.__u)&&s==l.key&&i==l.type)return a}return-1}function Ht(e,t,n){n==null&&(n=""),t[0]=="-"?e.setProperty(t,n):e[t]=n}
function Le(e,t,n,o,a){var s,i;if(t=="style")if(typeof n=="string")e.style.cssText=n;else{if(typeof o=="string"&&(e.style.
cssText=o=""),o)for(t in o)n&&t in n||Ht(e.style,t);if(n)for(t in n)o&&n[t]==o[t]||Ht(e.style,t,n[t])}else if(t[0]=="o"&&
t[1]=="n")typeof n!="function"&&(n=null),typeof o!="function"&&(o=null),(e.__e||(e.__e={}))[t]=n,n&&o||(i=gt[t]||(gt[t]=
Qn(t)),(e.__a||(e.__a={}))[t]=_t,s=t!=(t=t.replace(Wt,"$1")),(t=t.slice(2))[0]<"a"&&(t=t.toLowerCase()),n?e.addEventListener(
t,i,s):e.removeEventListener(t,i,s));else{if(a=="http://www.w3.org/2000/svg")t=t.replace(/xlink(H|:h)/,"h").replace(/sName$/,
"s");else if(t!="width"&&t!="height"&&t!="href"&&t!="list"&&t!="form"&&t!="tabIndex"&&t!="download"&&t!="rowSpan"&&t!="c\
olSpan"&&t!="role"&&t!="popover"&&t in e)try{return void(e[t]=n??"")}catch{}if(typeof n=="function")return;n==null||n===
!1&&t[4]!="-"?e.removeAttribute(t):e.setAttribute(t,t=="popover"&&n==1?"":n)}}function Qn(e){return function(t){var n=this.
__e;if(n){if(n=n[e],t[Xe]==null)t[Xe]=_t++;else if(t[Xe]<this.__a[e])return;return n(S.event?S.event(t):t)}}}function bt(e,t,n,o,a,s,i,l,u,f){
var c,p,m,d,h,x,b,_,g,w,k,Se,Bt,Be,ne,Lt,U,re,W=t.type;if(t.constructor!==Me)return null;128&n.__u&&(u=32&n.__u,c=n.__c.
__z)&&(t.__u|=u,p=s=[],c.nodeType==8?l=Ie(c,s):s.push(c),l=s[0]||l),(c=S.__b)&&c(t);e:if(typeof W=="function"){m=i.length;
try{if(_=t.props,g=(c=W.prototype)&&c.render,w=(c=W.contextType)&&o[c.__c],k=c?w?w.props.value:c.__:o,(d=n.__c)?(t.__c=d,
2&d.__g&&(d.__g|=1)):(g?t.__c=d=new W(_,k):(t.__c=d=new je(_,k),d.constructor=W,d.render=Zn),w&&w.sub(d),d.state||(d.state=
{}),d.__n=o,d.__g|=8,d.__h=[],d.__k=[]),g&&(d.__s||(d.__s=d.state),W.getDerivedStateFromProps&&(d.__s==d.state&&(d.__s=ae(
{},d.__s)),ae(d.__s,W.getDerivedStateFromProps(_,d.__s)))),h=d.props,x=d.state,d.__v=t,n.__c){if(_!==h&&g&&!W.getDerivedStateFromProps&&
d.componentWillReceiveProps&&d.componentWillReceiveProps(_,k),t.__v==n.__v&&!(8&d.__g)||!(4&d.__g)&&d.shouldComponentUpdate&&
d.shouldComponentUpdate(_,d.__s,k)===!1){t.__v!=n.__v&&(d.props=_,d.state=d.__s,d.__g&=-9),t.__e=n.__e,t.__k=n.__k,t.__k.
some(function(L){L&&(L.__=t)}),qe.push.apply(d.__h,d.__k),d.__k=[],d.__h.length&&i.push(d),l=K(n);break e}d.componentWillUpdate&&
d.componentWillUpdate(_,d.__s,k),g&&d.componentDidUpdate&&d.__h.push(function(){d.componentDidUpdate(h,x,b)})}else g&&!W.
getDerivedStateFromProps&&d.componentWillMount&&d.componentWillMount(),g&&d.componentDidMount&&d.__h.push(d.componentDidMount);
d.context=k,d.props=_,d.__P=e,d.__g&=-5,Se=S.__r,Bt=g?25:0;do d.__g&=-9,Se&&Se(t),c=d.render(d.props,d.state=d.__s,d.context);while(8&
d.__g&&++Bt<25);g&&(qe.push.apply(d.__h,d.__k),d.__k=[]),d.state=d.__s,d.getChildContext&&(o=ae({},o,d.getChildContext())),
g&&n.__c&&d.getSnapshotBeforeUpdate&&(b=d.getSnapshotBeforeUpdate(h,x)),Be=c&&c.type===T&&c.key==null?c.props.children:c,
_.__P&&(c=l,a=(e=_.__P).namespaceURI,u=s=null,n.props&&n.props.__P!=e&&(n.__k.some(function(L){L&&wt(L,L)}),n.__k=null),
l=n.__k?K(n,0):null),l=Vt(e,vt(Be)?Be:[Be],t,n,o,a,s,i,l,u,f),_.__P&&(t.__e=null,l=c),t.__u&=-161,p&&p.some(oe),d.__h.length&&
i.push(d),1&d.__g&&(d.__g&=-4)}catch(L){if(i.length=m,t.__v=null,u||s)if(L&&L.then){if(t.__u|=128|u,s){for(~(U=s.indexOf(
l||void 0))||(U=s.length);(re=s[U-1])&&re.nodeType==8;)U--;for(;U<s.length;U++)if(re=s[U])if(s[U]=null,ne){if(re==Lt)break}else{
if(re.nodeType!=8)break;re.data.startsWith("$s")&&(Lt=Ie(ne=re))}}if(!ne){for(;l&&l.nodeType==8&&l.nextSibling;)l=l.nextSibling;
ne=l}(c=Ie(ne=t.__c.__z||(t.__c.__z=ne)))?(t.__e=ne,l=c):t.__e=l,l=l&&l.nextSibling}else s&&s.some(oe);else t.__e=n.__e;
t.__k||(t.__k=n.__k||[]),L&&L.then||Gt(t),S.__e(L,t,n)}}else l=t.__e=Yn(n.__e,t,n,o,a,s,i,u,f,e);return(c=S.diffed)&&c(t),
l}function Ie(e,t){if(e&&e.nodeType==8&&e.data.startsWith("$s"))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.
startsWith("$s"))n++;else if(e.data.startsWith("/$s")&&!--n)return e}t&&t.push(e)}}function Gt(e){e&&(e.__c&&(e.__c.__g|=
4),e.__k&&e.__k.some(Gt))}function Qt(e,t,n){for(var o=0;o<n.length;)yt(n[o++],n[o++],n[o++]);S.__c&&S.__c(t,e),e.some(function(a){
try{e=a.__h,a.__h=[],e.some(function(s){s.call(a)})}catch(s){S.__e(s,a.__v)}})}function Yn(e,t,n,o,a,s,i,l,u,f){var c,p,
m,d,h,x,b,_,g=n.props||ze,w=t.props,k=t.type;if(k=="svg"?a="http://www.w3.org/2000/svg":k=="math"?a="http://www.w3.org/1\
998/Math/MathML":a||(a="http://www.w3.org/1999/xhtml"),s){for(c=0;c<s.length;c++)if((h=s[c])&&(k?h.localName==k:h.nodeType==
3)){e=h,s[c]=null;break}}if(!e){if(_=f.ownerDocument||document,!k)return _.createTextNode(w);e=_.createElementNS(a,k,w.is?
w:f),l&&(S.__m&&S.__m(t,s),l=!1),s=null}if(k){if(f=k=="template"&&e.content||e,s=k=="textarea"&&w.defaultValue!=null?null:
s&&zt.call(f.childNodes),!l&&s)for(g={},c=0;c<e.attributes.length;c++)g[(h=e.attributes[c]).name]=h.value;for(c in g)h=g[c],
c=="dangerouslySetInnerHTML"?m=h:c=="children"||c in w||c=="value"&&"defaultValue"in w||c=="checked"&&"defaultChecked"in
w||Le(e,c,null,h,a);for(c in w)h=w[c],c=="children"?d=h:c=="dangerouslySetInnerHTML"?p=h:c=="value"?x=h:c=="checked"?b=h:
l&&typeof h!="function"||g[c]===h||Le(e,c,h,g[c],a);p?(l||m&&(p.__html==m.__html||p.__html==e.innerHTML)||(e.innerHTML=p.
__html),t.__k=[]):(m&&(e.textContent=""),(k=="foreignObject"||a=="http://www.w3.org/1998/Math/MathML"&&Un.test(k))&&(a="\
http://www.w3.org/1999/xhtml"),Vt(f,vt(d)?d:[d],t,n,o,a,s,i,s?s[0]:n.__k&&K(n,0),l,u),s&&s.some(oe)),l&&k!="textarea"||(c=
"value",k=="progress"&&x==null?e.removeAttribute(c):x==null||x===e[c]&&(k!="progress"||x)||Le(e,c,x,g[c],a),c="checked",
b!=null&&b!=e[c]&&Le(e,c,b,g[c],a))}else g===w||l&&e.data==w||(e.data=w);return e}function yt(e,t,n,o){try{typeof e=="fu\
nction"?t?t.__x=e(t)||1:o&&(o=o.__c||o.__e)&&(t=o.__x)&&(o.__x=null,typeof t=="function"?t():e(null)):e.current=t}catch(a){
S.__e(a,n)}}function wt(e,t,n){var o,a,s,i;if(S.unmount&&S.unmount(e),!(o=e.ref)||o.current&&o.current!=e.__e||yt(o,null,
t,e),o=e.__c){if(o.componentWillUnmount)try{o.componentWillUnmount()}catch(l){S.__e(l,t)}o.__P=o.__n=null}if(o=e.__k)for(i=
0;i<o.length;i++)o[i]&&wt(o[i],t,typeof e.type!="function"||n&&!e.props.__P);!n&&(o=e.__c)&&(o=o.__z)&&(a=Ie(o,s=[]))&&(o==
e.__e&&s.some(oe),oe(a),oe(o)),n||oe(e.__e),e.__e=e.__c=e.__=null}function Zn(e,t,n){return this.constructor(e,n)}function Yt(e,t){
var n,o,a,s;S.__&&S.__(e,t),t.nodeType==9&&(t=t.documentElement),o=(n=e&&32&e.__u)?null:t.__k,t.__k=He(T,{children:[e]}),
a=[],s=[],bt(t,t.__k,o||ze,ze,t.namespaceURI,o?null:t.firstChild?zt.call(t.childNodes):null,a,o?o.__e:t.firstChild,n,s),
Qt(a,t.__k,s),t.__k.props.children=null}S={__e:function(e,t,n,o){for(var a,s,i;t=t.__;)if((a=t.__c)&&!(1&a.__g)){a.__g|=4;try{if((i=(s=a.constructor)&&s.getDerivedStateFromError)&&
a.setState(s.getDerivedStateFromError(e)),a.componentDidCatch&&(a.componentDidCatch(e,o||{}),i=1),i&&8&a.__g)return void(a.
__g|=2)}catch(l){e=l}}throw We=0,e}},jt=0,zn=function(e){return e!=null&&e.constructor===Me},je.prototype.setState=function(e,t){
var n=this.__s;n&&n!=this.state||(n=this.__s=ae({},this.state)),typeof e=="function"&&(e=e(ae({},n),this.props)),e&&(ae(
n,e),this.__v&&(t&&this.__k.push(t),Xt(this)))},je.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.
push(e),Xt(this))},je.prototype.render=T,V=[],We=0,It=function(e,t){return e.__v.__b-t.__v.__b},Xe=Symbol(),Wt=/(PointerCapture)$|Capture$/i,
_t=0,gt={},qn=0;var Te,O,xt,Zt,kt=Object.is,Ue=0,un=[],St=[],E=S,en=E.__b,tn=E.__r,nn=E.diffed,rn=E.__c,on=E.unmount,an=E.__;function Ct(e,t){
E.__h&&E.__h(O,e,Ue||t),Ue=0;var n=O.__H||(O.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function M(e){
return Ue=1,er(dn,e)}function er(e,t,n){var o=Ct(Te++,2);if(o.t=e,!o.__c&&(o.__=[n?n(t):dn(void 0,t),function(s){var i=(o.
__N||o.__)[0],l=o.t(i,s);kt(i,l)||(o.__N=[l,o.__[1]],o.__c.setState({}))}],o.__c=O,!O.__f)){O.__f=!0;var a=O.shouldComponentUpdate;
O.shouldComponentUpdate=function(s,i,l){var u=this.__H;if(!u)return!0;var f=!1,c=this.props!=s;if(u.__.some(function(m){
m.__N&&(f=!0,kt(m.__[0],m.__N[0])||(c=!0))}),a){var p=a.call(this,s,i,l);return f?p||c:p}return!f||c}}return o.__}function X(e,t){
var n=Ct(Te++,3);!E.__s&&cn(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,O.__H.__h.push(n))}function z(e){return Ue=5,tr(function(){return{current:e}},[])}function tr(e,t){var n=Ct(Te++,7);return cn(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function nr(){var e;do{for(;e=St.shift();)try{Ce(e)}catch(n){E.__e(n,{__:(e=e.__P)&&e.__v})}for(;e=un.shift();){var t=e.
__H;if(e.__P&&t)try{t.__h.some(Ce),t.__h.some(Mt),t.__h=[]}catch(n){t.__h=[],E.__e(n,e.__v)}}}while(St.length)}E.__b=function(e){
O=null,en&&en(e)},E.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),an&&an(e,t)},E.__r=function(e){tn&&tn(e),Te=
0;var t=(O=e.__c).__H;t&&(xt==O?O.__h=[]:(t.__h.some(Ce),t.__h.some(Mt),Te=0),t.__h=[],t.__.some(function(n){n.__N&&(n.__=
n.__N),n.u=n.__N=void 0})),xt=O},E.diffed=function(e){nn&&nn(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&ln(un.push(t)),
t.__H.__.some(function(n){n.u&&(n.__H=n.u)})),xt=O=null},E.__c=function(e,t){t.some(function(n){try{n.__h.some(Ce),n.__h=
n.__h.filter(function(o){return!o.__||Mt(o)})}catch(o){n.__h=[function(){throw o}]}}),rn&&rn(e,t)},E.unmount=function(e){
on&&on(e);var t,n,o=e.__c;o&&o.__H&&(o.__H.__.some(function(a){try{if(a.__P&&a.__c){if(n===void 0){for(n=e.__;n&&(!n.__c||
!n.__c.__P);)n=n.__;n=n&&n.__c}a.__P=n,ln(St.push(a))}else Ce(a)}catch(s){t=s}}),o.__H=void 0,t&&E.__e(t,o.__v))};var sn=typeof requestAnimationFrame==
"function";function rr(e){var t,n=function(){clearTimeout(o),sn&&cancelAnimationFrame(t),setTimeout(e)},o=setTimeout(n,35);
sn&&(t=requestAnimationFrame(n))}function ln(e){e!=1&&Zt==E.requestAnimationFrame||((Zt=E.requestAnimationFrame)||rr)(nr)}
function Ce(e){var t=O,n=e.__c;typeof n=="function"&&(e.__c=void 0,n()),O=t}function Mt(e){var t=O;e.__c=e.__(),O=t}function cn(e,t){
return!e||e.length!=t.length||t.some(function(n,o){return!kt(n,e[o])})}function dn(e,t){return typeof t=="function"?t(e):
t}var j=class extends Error{constructor(n,o){super(o.message);this.status=n;this.body=o}status;body},mn=()=>{};function pn(e){
mn=e}async function Pe(e,t){let n;try{n=await fetch(e,t)}catch{throw new j(0,{message:"The server does not answer. Is it\
 still running?",param:null,code:"unreachable"})}if(n.ok)return n;n.status===401&&mn();let o=await n.json().catch(()=>null);
throw new j(n.status,o?.error??{message:`The server answered ${n.status}.`,param:null,code:""})}async function Tt(e){if(e.
status!==204)return JSON.parse((await e.text()).replace(/"seed":\s*(\d{16,})/g,'"seed":"$1"'))}function or(e){let t=Ve();
return JSON.stringify(e,(o,a)=>typeof a=="bigint"?`${t}${a}`:a).replace(new RegExp(`"${t}(\\d+)"`,"g"),"$1")}async function se(e){
return await Tt(await Pe(e))}async function G(e){return(await se(e)).data}async function pe(e,t,n={}){let o=await Pe(e,{
method:"POST",headers:{"Content-Type":"application/json",...n},body:or(t)});return await Tt(o)}async function fn(e,t){await Pe(
e,{method:"PATCH",headers:{"Content-Type":"application/json"},body:JSON.stringify(t)})}async function Pt(e){await Pe(e,{
method:"DELETE",keepalive:!0})}async function hn(e){let t=await Pe("/api/images/read",{method:"POST",body:e});return await Tt(
t)}function Ve(){return Array.from(crypto.getRandomValues(new Uint8Array(16)),e=>e.toString(16).padStart(2,"0")).join("")}var ar=Symbol.for("pv"),sr=0;function r(e,t,n,o,a,s){t||(t={});var i,l,u=t;if("ref"in u&&typeof e!="function")for(l in u={},t)l=="ref"?i=t[l]:u[l]=t[l];
var f={type:e,props:u,key:n,ref:i,__k:null,__:null,__b:0,__e:null,__c:null,constructor:ar,__v:--sr,__i:-1,__u:0};return(a||
s)&&(f.__source=a,f.__self=s),S.vnode&&S.vnode(f),f}function $e(e){return r("label",{class:"check",children:[r("input",{type:"checkbox",checked:e.checked,onChange:t=>e.set(
t.currentTarget.checked)}),r("span",{children:e.text})]})}function Ke(e){let{text:t,least:n,most:o,value:a,set:s,about:i}=e;
return r("label",{class:i===void 0?void 0:"line",children:[r("span",{class:"name",children:t}),r("input",{type:"number",
class:"number",min:n,max:o,value:a,onChange:l=>s(Math.min(Math.max(Math.round(l.currentTarget.valueAsNumber)||n,n),o))}),
i!==void 0&&r("span",{class:"hint",children:i})]})}function D(e){let t=e.trim();return t===""||t==="none"||t==="default"?[]:t.split("+").map(n=>{let[o="",...a]=n.split(":"),
s={};for(let i of a.join(":").split(",")){let[l="",...u]=i.split("=");l.trim()!==""&&(s[l.trim()]=u.join("=").trim())}return{
name:o.trim(),values:s}})}function ie(e){return e.length===0?"none":e.map(t=>{let n=Object.entries(t.values).filter(([,o])=>o!==
"").map(([o,a])=>`${o}=${a}`);return n.length>0?`${t.name}:${n.join(",")}`:t.name}).join("+")}function fe(e,t){let n=e?.
rules.find(o=>o.name===t);return n?D(n.text)[0]??null:null}function he(e){return e.kind==="number"||e.kind==="integer"}function gn(e){
let t=10**Math.floor(Math.log10(e));return t*([1,2,5,10].find(n=>n*t>=e*.999)??10)}function Ge(e,t,n){let o=[Number(t.default),
...n.map(u=>Number(fe(u,e.name)?.values[t.name]))],a=Math.max(...o.filter(Number.isFinite),.5),s=t.minimum??-a*2,i=t.maximum??
Math.max(gn(a*2),s+1),l=t.kind==="integer"?1:Math.min(gn((i-s)/200),.5);return{min:s,max:i,step:l}}function Ee(e){return String(
Number(e.toPrecision(6)))}var P=class{constructor(t){this.current=t}current;watchers=new Set;get value(){return this.current}set(t){if(t!==this.current){
this.current=t;for(let n of[...this.watchers])n()}}change(t){this.set({...this.current,...t})}watch(t){return this.watchers.
add(t),()=>this.watchers.delete(t)}};function y(e){let[,t]=M({});return X(()=>e.watch(()=>t({})),[e]),e.value}function Q(e){
try{return JSON.parse(localStorage.getItem(`attune.${e}`)??"null")}catch{return null}}function le(e,t){try{localStorage.
setItem(`attune.${e}`,JSON.stringify(t))}catch{}}var C=new P(null),Ze=new P(null);async function rt(){try{let[e,t,n,o,a]=await Promise.all([G("/api/models"),G("/api/guid\
ance"),G("/api/presets"),G("/api/options"),se("/api/status")]);Ze.set(null),C.set({models:e,rules:t,families:n,options:o,
status:a});let[s]=Rt($(v.value.model));if(!lr&&s&&v.change({prompt:s[0],negative:s[1],seed:String(s[2])}),bn(),await Promise.
all([ye(),Z()]),yn(),R.value===null){let i=I.value[0];i&&R.set({kind:"set",id:i.id})}}catch(e){Ze.set(B(e))}}function B(e){
return e instanceof Error?e.message:String(e)}var _n={scenes:[["a rabbit on an orange background","bow",5],["a lion on a\
 blue background","crown",4],["a chick","sunglasses",2]],other:[["a red fox in fresh snow at sunrise, photograph","blurr\
y, text",7],["a small wooden house by a lake, watercolour","people",5]]};function Rt(e){return e?.attune.family?.startsWith(
"scenes")?_n.scenes:_n.other}var ir={mode:"compare",prompt:"",negative:"",model:"",guidance:"default",rules:[],size:"",steps:"",
seed:"7",newSeed:!0,count:4,scheduler:"",more:{},trace:!0,grid:{parameter:"",from:"",to:"",count:4},picture:null},lr=Q("\
form")!==null,v=new P({...ir,...Q("form"),picture:null});v.watch(()=>{le("form",{...v.value,picture:null}),bn()});function $(e){
let t=C.value?.models??[];return t.find(n=>n.id===(e||C.value?.status.default_model))??t[0]}function ot(e){return C.value?.
families.find(t=>t.family===e?.attune.family)}function vn(e){let t={prompt:e.prompt,guidance:at(e),preview:!0};e.negative.
trim()!==""&&(t.negative_prompt=e.negative),e.model!==""&&(t.model=e.model),e.size!==""&&(t.size=e.size),e.steps!==""&&(t.
steps=Number(e.steps)),e.seed!==""&&(t.seed=BigInt(e.seed)),e.scheduler!==""&&(t.scheduler=e.scheduler),e.trace&&(t.trace=
!0);let n=st($(e.model));for(let o of n){let a=e.more[o.key];a===void 0||a===""||(t[o.key]=o.kind==="flag"?a==="true":o.
kind==="integer"||o.kind==="number"?Number(a):a)}return e.picture&&(t.images=[{image_url:e.picture.data}],e.picture.mask!==
null&&$(e.model)?.attune.takes.includes("mask")&&(t.mask={image_url:e.picture.mask})),t}function at(e){return e.guidance===
"own"?ie(e.rules):e.guidance}var ur=new Set(["prompt","negative_prompt","steps","seed","width","height","count","guidanc\
e","scheduler"]);function st(e){let t=new Set(e?.attune.takes??[]);return(C.value?.options??[]).filter(n=>!ur.has(n.key)&&
(n.takes===void 0||t.has(n.takes)))}function Fe(e){return ot($(e.model))?.guidance??"none"}function it(e){let[t,n]=[Number(
e.from),Number(e.to)];if(e.from===""||e.to===""||!Number.isFinite(t)||!Number.isFinite(n))return[];let o=e.parameter==="\
steps"||e.parameter.endsWith(".norm"),a=Array.from({length:e.count},(s,i)=>t+(n-t)*i/Math.max(e.count-1,1));return[...new Set(
a.map(s=>String(o?Math.round(s):Number(s.toPrecision(3)))))]}function cr(e,t,n){if(!t.includes("."))return{...e,[t]:Number(
n)};let[o,a]=t.split("."),s=D(String(e.guidance)).map(i=>i.name===o?{...i,values:{...i.values,[a]:n}}:i);return{...e,guidance:ie(
s)}}var H=new P({answer:null,error:null}),Qe=0;async function bn(){let e=++Qe;if(await new Promise(t=>setTimeout(t,250)),
!(e!==Qe||C.value===null))try{let t=await pe("/api/check",vn(v.value));e===Qe&&H.set({answer:t,error:null})}catch(t){e===
Qe&&t instanceof j&&t.status!==401&&H.set({answer:null,error:t.body})}}var dr=24,I=new P(Q("sets")??[]);function mr(e){I.
set([e,...I.value].slice(0,dr)),le("sets",I.value)}var R=new P(null);R.watch(()=>{let e=R.value?.kind==="picture"?`#pict\
ure=${R.value.id}`:"";location.hash!==e&&history.replaceState(null,"",e===""?location.pathname:e)});function yn(){let e=/^#picture=([0-9a-z]{26})$/.
exec(location.hash)?.[1];e!==void 0&&ce(e)}addEventListener("hashchange",yn);async function ce(e){if(!ee(e))try{be([await se(
`/api/images/${e}`)])}catch(t){A(B(t));return}R.set({kind:"picture",id:e})}var Re=new P(!1),_e=new P(null);async function pr(e){
let t={"Idempotency-Key":Ve()};for(let n=0;;n++)try{let o=await pe("/api/jobs",e,t);return ut(o),o}catch(o){if(n>=2||!(o instanceof
j)||o.status!==0)throw o;await new Promise(a=>setTimeout(a,500))}}async function de(e=v.value){if(Re.value)return;Re.set(
!0),_e.set(null);let t=[];try{e.seed===""&&(e={...e,seed:et()});let n=await fr(e,t);mr(n),R.set({kind:"set",id:n.id}),v.
value.newSeed&&v.change({seed:et()}),document.querySelector("#stage")?.scrollIntoView({block:"nearest"})}catch(n){for(let o of t)
we(o.id);_e.set(n instanceof j?n.body:{message:B(n),param:null,code:""})}finally{Re.set(!1),ye()}}async function fr(e,t){
let n=vn(e),o=BigInt(e.seed),a={id:Ve(),kind:e.mode,prompt:String(n.prompt),cells:[],columns:[],rows:[],axis:""},s=async l=>{
let u=await pr(l);return t.push(u),u},i=e.mode==="compare"||e.mode==="grid"?await hr(e,n):"none";if(e.mode==="compare"){
let l={...n,guidance:Fe(e)};l.guidance==="none"&&delete l.negative_prompt;let u=await s(l),f=await s(n),c=D(i).map(p=>p.
name.toUpperCase());a.cells=[{job:u.id,index:0,label:l.guidance==="none"?"Without guidance":`With ${l.guidance} alone`},
{job:f.id,index:0,label:c.length>0?`With ${c.join(" + ")}`:"As asked"}]}else if(e.mode==="grid"){let l=it(e.grid),u=Math.
max(e.count,1);a.axis=e.grid.parameter,a.columns=l,a.rows=Array.from({length:u},(c,p)=>`seed ${o+BigInt(p)}`);let f=[];for(let c of l)
f.push(await s(cr({...n,n:u,guidance:i},e.grid.parameter,c)));for(let c=0;c<u;c++)for(let[p,m]of f.entries())a.cells.push(
{job:m.id,index:c,label:`${e.grid.parameter} ${l[p]}, seed ${o+BigInt(c)}`})}else{let l=e.mode==="seeds"?e.count:1,u=await s(
{...n,n:l});a.cells=Array.from({length:l},(f,c)=>({job:u.id,index:c,label:`seed ${o+BigInt(c)}`}))}return a}async function hr(e,t){
if(e.guidance!=="default")return at(e);let{guidance:n}=await pe("/api/check",t),o=ot($(e.model));return n??(e.negative.trim()===
""?o?.guidance:o?.negative_guidance)??"none"}function et(){return String(crypto.getRandomValues(new Uint32Array(1))[0])}
var F=new P(new Map),q=new P(new Map),lt=new P(""),Ye=new Map,Y=e=>e.status==="queued"||e.status==="running";function ve(e){
return[...e.values()].filter(Y).sort((t,n)=>(t.position??-1)-(n.position??-1)||t.created-n.created)}function ut(...e){let t=new Map(
F.value);for(let n of e)t.set(n.id,n);F.set(t),be(e.flatMap(n=>n.images))}var tt=!1;async function ye(){try{let e=await G(
"/api/jobs?limit=100"),t=[...F.value.values()].filter(i=>Y(i)&&!e.some(l=>l.id===i.id)),o=((R.value?.kind==="set"?I.value.
find(i=>i.id===R.value.id):I.value[0])?.cells??[]).map(i=>i.job).filter(i=>!F.value.has(i)&&!e.some(l=>l.id===i)),a=await Promise.
all([...new Set([...t.map(i=>i.id),...o])].map(wn)),s=[...F.value.values()].filter(Y).length;ut(...e,...a.filter(i=>i!==
null)),s>0&&ve(F.value).length===0&&Z(),gr(),tt=!1}catch{tt=!0}}async function wn(e){try{return await se(`/api/jobs/${e}`)}catch(t){
if(!(t instanceof j)||t.status!==404)throw t;return F.value.has(e)?{...F.value.get(e),status:"cancelled"}:null}}async function ge(e){
try{let t=await wn(e);t&&ut(t)}catch{tt=!0}}function gr(){let e=ve(F.value).filter(n=>n.status==="running").slice(0,2),t=ve(
F.value)[0];for(let n of e.length>0?e:t?[t]:[])Ye.has(n.id)||_r(n.id)}function _r(e){let t=new EventSource(`/api/jobs/${e}\
/events`);Ye.set(e,t);let n=(a,s)=>t.addEventListener(a,i=>s(JSON.parse(i.data))),o=()=>{t.close(),Ye.delete(e),ge(e).then(
()=>{vr(e),br(e),Z(),ye()})};n("started",({image:a})=>{let s=F.value.get(e);s&&ut({...s,status:"running"}),$t(e,{image:a,
index:0,count:0,preview:null})}),n("step",a=>$t(e,{image:a.image,index:a.index,count:a.count,preview:q.value.get(e)?.preview??
null})),n("preview",a=>$t(e,{image:a.image,index:a.index,count:a.count,preview:`data:image/png;base64,${a.b64_json}`})),
n("image",()=>{ge(e)});for(let a of["completed","cancelled","failed"])n(a,o);t.addEventListener("error",()=>{t.readyState===
EventSource.CLOSED&&(Ye.delete(e),ge(e))})}function $t(e,t){q.set(new Map(q.value).set(e,t))}function vr(e){let t=new Map(
q.value);t.delete(e),q.set(t)}function br(e){let t=F.value.get(e);if(!t)return;let n=t.count===1?"The picture":`${t.images.
length} of ${t.count} pictures`;lt.set(t.status==="completed"?`${n} made: ${String(t.request.prompt)}`:t.status==="faile\
d"?`Failed: ${t.error?.message??""}`:"Cancelled.")}async function we(e){try{await Pt(`/api/jobs/${e}`)}catch(t){A(B(t))}
await ge(e),ye()}var yr=1500;setInterval(()=>{document.visibilityState!=="visible"||!C.value||(tt||ve(F.value).length>0)&&
ye()},yr);document.addEventListener("visibilitychange",()=>{document.visibilityState==="visible"&&C.value&&Promise.all([
ye(),Z()])});var nt=48,N=new P({ids:[],more:!1,starred:!1}),ue=new P(new Map),Et=new Set;function ee(e){return ue.value.
get(e)}function be(e){if(e.length===0)return;let t=new Map(ue.value);for(let n of e)t.set(n.id,n);ue.set(t)}async function Z(){
let{starred:e}=N.value;try{let t=await G(`/api/images?limit=${nt}&starred=${e}`);if(N.value.starred!==e)return;be(t),N.set(
{ids:t.map(n=>n.id).filter(n=>!Et.has(n)),more:t.length===nt,starred:e})}catch(t){A(B(t))}}async function xn(){let{ids:e,
starred:t}=N.value,n=await G(`/api/images?limit=${nt}&starred=${t}&before=${e.at(-1)??""}`);be(n),N.change({ids:[...e,...n.
map(o=>o.id)],more:n.length===nt})}async function ct(e){be([{...e,starred:!e.starred}]);try{await fn(`/api/images/${e.id}`,
{starred:!e.starred})}catch(t){be([e]),A(B(t))}}function kn(e){Et.add(e.id);let{ids:t}=N.value,n=t[t.indexOf(e.id)+1]??t[t.
indexOf(e.id)-1];N.change({ids:t.filter(o=>o!==e.id)}),R.value?.kind==="picture"&&R.value.id===e.id&&R.set(n?{kind:"pict\
ure",id:n}:null),A("The picture is deleted.",{label:"Undo",act:()=>{Et.delete(e.id),Z()},otherwise:()=>{Pt(`/api/images/${e.
id}`).then(Z,o=>A(B(o)))}})}function xe(e,t=!0){let n=u=>e[u]===void 0||e[u]===null?"":String(e[u]),o=n("guidance"),a=D(
o),s=C.value?.models.find(u=>u.id===n("model"))?.id??"",i=n("width")!==""&&n("height")!==""?`${n("width")}x${n("height")}`:
"",l={};for(let u of st($(s)))n(u.key)!==""&&(l[u.key]=n(u.key));v.change({mode:"picture",prompt:n("prompt"),negative:n(
"negative_prompt"),model:s,guidance:o===""||o==="default"?"default":a.length===0?"none":"own",rules:a,more:l,size:i===$(
s)?.attune.default_size?"":i,steps:n("steps"),scheduler:n("scheduler"),...t?{seed:n("seed"),newSeed:!1}:{}}),_e.set(null)}
var ke=e=>(e?.attune.takes??[]).some(t=>t==="image"||t==="references");async function Ae(e){try{let{parameters:t}=await hn(
e);t?(xe(t),A(`The settings of ${e.name} are recalled.`),lt.set("Settings recalled.")):ke($(v.value.model))?(await dt(e,
e.name),A(`${e.name} says nothing of how it was made; the next picture begins with it.`)):A(`${e.name} says nothing of h\
ow it was made.`)}catch(t){A(B(t))}}async function dt(e,t){let n=await new Promise((o,a)=>{let s=new FileReader;s.onload=
()=>o(String(s.result)),s.onerror=()=>a(new Error(`${t} cannot be read.`)),s.readAsDataURL(e)});v.change({picture:{name:t,
data:n,mask:null}})}async function Sn(e){try{let t=await fetch(e.url);if(!t.ok)throw new Error("The picture is not there\
 any more.");await dt(await t.blob(),"this picture"),A("The next picture begins with this one.")}catch(t){A(B(t))}}var Je=new P(
null),Mn=0;function A(e,t){Oe(!1),Je.set({text:e,...t}),Mn=window.setTimeout(()=>Oe(!1),t?7e3:4500)}function Oe(e){clearTimeout(
Mn);let t=Je.value;Je.set(null),e?t?.act?.():t?.otherwise?.()}addEventListener("pagehide",()=>Oe(!1));var wr=1024;function Tn({picture:e}){let t=$(v.value.model)?.attune.takes.includes("mask")??!1;return r("fieldset",{class:"\
card begin",children:[r("legend",{children:["Begins with ",e.name]}),t?r(xr,{picture:e}):r("img",{src:e.data,alt:e.name}),
r("button",{type:"button",class:"small",onClick:()=>v.change({picture:null}),children:["Without ",e.name]})]})}function xr({
picture:e}){let t=z(null),[n,o]=M(null),[a,s]=M(12),[i,l]=M(!1),[u,f]=M([.5,.5]),[c,p]=M(!1),m=z(null);X(()=>{t.current&&
Cn(t.current)},[e.data]);let d=_=>{let g=t.current;if(!g)return;let w=Jt(g),[k,Se]=m.current??_;w.globalCompositeOperation=
i?"destination-out":"source-over",w.strokeStyle="#e8408c",w.lineCap="round",w.lineWidth=a/100*Math.max(g.width,g.height),
w.beginPath(),w.moveTo(k*g.width,Se*g.height),w.lineTo(_[0]*g.width+.01,_[1]*g.height),w.stroke(),m.current=_},h=()=>{m.
current=null,t.current&&v.change({picture:{...e,mask:kr(t.current)}})},x=_=>{let g=t.current.getBoundingClientRect();return[
(_.clientX-g.left)/g.width,(_.clientY-g.top)/g.height]},b=_=>{let g=a/200,k={ArrowLeft:[-g,0],ArrowRight:[g,0],ArrowUp:[
0,-g],ArrowDown:[0,g]}[_.key];if(k)f([Math.min(Math.max(u[0]+k[0],0),1),Math.min(Math.max(u[1]+k[1],0),1)]);else if(_.key===
" ")d(u),h();else return;_.preventDefault(),_.stopPropagation()};return r(T,{children:[r("div",{class:"paint",style:n?{aspectRatio:`${n[0]}\
 / ${n[1]}`}:void 0,children:[r("img",{src:e.data,alt:e.name,onLoad:_=>{let{naturalWidth:g,naturalHeight:w}=_.currentTarget,
k=Math.min(1,wr/Math.max(g,w));o([Math.round(g*k),Math.round(w*k)])}}),n&&r("canvas",{ref:t,width:n[0],height:n[1],tabIndex:0,
role:"application","aria-label":"The part that is made anew. Arrow keys move the brush, Space paints.",onFocus:()=>p(!0),
onBlur:()=>p(!1),onKeyDown:b,onPointerDown:_=>{_.currentTarget.setPointerCapture(_.pointerId),d(x(_))},onPointerMove:_=>{
m.current&&d(x(_))},onPointerUp:h,onPointerCancel:h}),c&&n&&r("span",{class:"brush","aria-hidden":"true",style:{left:`${u[0]*
100}%`,top:`${u[1]*100}%`,width:`${a*Math.max(1,n[1]/n[0])}%`}})]}),r("p",{class:"hint",children:e.mask===null?"Paint ov\
er a part to make that part alone anew.":"What is painted is made anew, the rest is kept."}),r("div",{class:"fields",children:[
r("label",{children:[r("span",{class:"name",children:"Brush"}),r("input",{type:"range",min:3,max:40,value:a,"aria-valuet\
ext":`${a} % of the picture`,onInput:_=>s(_.currentTarget.valueAsNumber)})]}),r($e,{text:"Wipe off",checked:i,set:l}),e.
mask!==null&&r("button",{type:"button",class:"small",onClick:()=>{t.current&&Cn(t.current),h()},children:"Nothing painte\
d"})]})]})}function Jt(e){return e.getContext("2d",{willReadFrequently:!0})}function Cn(e){Jt(e).clearRect(0,0,e.width,e.
height)}function kr(e){let{width:t,height:n}=e;if(!Jt(e).getImageData(0,0,t,n).data.some((i,l)=>l%4===3&&i>127))return null;
let a=document.createElement("canvas");[a.width,a.height]=[t,n];let s=a.getContext("2d");return s.fillRect(0,0,t,n),s.globalCompositeOperation=
"destination-out",s.drawImage(e,0,0),a.toDataURL("image/png")}var Sr={star:"M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z",trash:"M4 7h16M9 7V4.5h6V7m-8.5\
 0 .8 12.5h9.4L17.5 7M10 11v5m4-5v5",download:"M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",close:"M6 6l12 12M18 6 6 18",dice:"\
M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",copy:"M9 9h11v11H9zM15 9V4H4v11h5",sun:"M12 8a4 4 0 1 0 0 8\
 4 4 0 0 0 0-8zM12 2.5v2m0 15v2M2.5 12h2m15 0h2M5.3 5.3l1.4 1.4m10.6 10.6 1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",moon:"\
M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",auto:"M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",help:"M9 9.2a3 3 0 1 1 4\
.3 2.7c-.9.5-1.3 1-1.3 2.1M12 17.5h.01",open:"M4 7.5V18h16V9.5h-8.5L9.5 7.5z",back:"M14.5 5.5 8 12l6.5 6.5",next:"M9.5 5\
.5 16 12l-6.5 6.5",plus:"M12 5v14M5 12h14",code:"M9 7l-5 5 5 5M15 7l5 5-5 5"};function J({name:e,filled:t=!1}){return r(
"svg",{class:"icon",viewBox:"0 0 24 24",width:"20",height:"20","aria-hidden":"true",focusable:"false",fill:t?"currentCol\
or":"none",stroke:"currentColor","stroke-width":"1.8","stroke-linecap":"round","stroke-linejoin":"round",children:r("pat\
h",{d:Sr[e]})})}function Pn(){let e=y(v),t=y(C),{answer:n}=y(H),o=ot($(e.model)),a=()=>{let i=D(n?.guidance??"none");if(i.length>0)return i;
let l=o?.rules[0]?.name??"nag";return[fe(o,l)??Ot(t.rules.find(u=>u.name===l))]},s=i=>v.change(i==="own"?{guidance:i,rules:e.
guidance==="own"?e.rules:a()}:{guidance:i});return r("fieldset",{class:"card guidance",children:[r("legend",{children:"G\
uidance"}),r("div",{class:"segments",role:"group","aria-label":"Which guidance",children:[r(te,{name:"guidance",value:"d\
efault",chosen:e.guidance,choose:s,text:"Automatic"}),r(te,{name:"guidance",value:"none",chosen:e.guidance,choose:s,text:"\
None"}),r(te,{name:"guidance",value:"own",chosen:e.guidance,choose:s,text:"My own"})]}),e.guidance==="default"&&r(Mr,{text:n?.
guidance,rules:t.rules,adjust:()=>s("own")}),e.guidance==="none"&&r("p",{class:"hint",children:"The plain model. Nothing\
 reads the negative prompt."}),e.guidance==="own"&&r(Cr,{asked:e,rules:t.rules,families:t.families,family:o})]})}function te({
name:e,value:t,chosen:n,choose:o,text:a}){return r("label",{children:[r("input",{type:"radio",name:e,value:t,checked:n===
t,onChange:()=>o(t)}),r("span",{children:a})]})}function Mr({text:e,rules:t,adjust:n}){let o=D(e??"none");return o.length===
0?r("p",{class:"hint",children:"What is published for this model: none without a negative prompt. Write one, and a rule \
that reads it turns on."}):r("div",{class:"resolved",children:[o.map(a=>{let s=t.find(l=>l.name===a.name),i=Object.entries(
a.values).filter(([l])=>s?.parameters.some(u=>u.name===l&&he(u)));return r("p",{children:[r("strong",{children:s?.title??
a.name})," ",i.map(([l,u])=>r("code",{children:[l," ",u]},l))]},a.name)}),r("p",{class:"hint",children:"The published va\
lues for this model."}),r("button",{type:"button",class:"small",onClick:n,children:"Adjust"})]})}function Ot(e){return e?
D(e.text)[0]??{name:e.name,values:{}}:{name:"nag",values:{}}}function Cr({asked:e,rules:t,families:n,family:o}){let a=u=>v.
change({rules:u}),s=t.filter(u=>!e.rules.some(f=>f.name===u.name)),i=u=>o?.rules.some(f=>f.name===u.name)??!1,l=u=>{let f=t.
find(c=>c.name===u);f&&a([...v.value.rules,fe(o,u)??Ot(f)])};return r(T,{children:[e.rules.map((u,f)=>{let c=t.find(p=>p.
name===u.name);return c&&r(Pr,{rule:c,chosen:u,families:n,family:o,change:p=>a(v.value.rules.map((m,d)=>d===f?p:m)),remove:()=>a(
v.value.rules.filter((p,m)=>m!==f))},u.name)}),r("label",{class:"add",children:[r("span",{class:"name",children:"Add a r\
ule"}),r("select",{value:"",onChange:u=>{l(u.currentTarget.value),u.currentTarget.value=""},children:[r("option",{value:"",
children:"Choose…"}),[["Published for this model",s.filter(i)],["Others",s.filter(u=>!i(u))]].map(([u,f])=>f.length>0&&
r("optgroup",{label:u,children:f.map(c=>r("option",{value:c.name,children:c.title??c.name},c.name))},u))]})]}),r(Tr,{asked:e,
set:a})]})}function Tr({asked:e,set:t}){let[n,o]=M(null),{error:a}=y(H);return r("label",{children:[r("span",{class:"nam\
e",children:"As text, as on the command line"}),r("input",{type:"text",class:"mono",spellcheck:!1,autocomplete:"off",value:n??
ie(e.rules),"aria-invalid":a?.param==="guidance",onFocus:()=>o(at(e)),onInput:s=>{o(s.currentTarget.value),t(D(s.currentTarget.
value))},onBlur:()=>o(null)})]})}function Pr({rule:e,chosen:t,families:n,family:o,change:a,remove:s}){let i=(m,d)=>a({...t,
values:{...t.values,[m]:d}}),l=n.filter(m=>m.rules.some(d=>d.name===e.name)),u=fe(o,e.name)??Ot(e),[f,c]=M(""),p=n.find(
m=>m.family===f)?.rules.find(m=>m.name===e.name)??o?.rules.find(m=>m.name===e.name);return r("section",{class:"rule","ar\
ia-label":e.title??e.name,children:[r("header",{children:[r("h2",{children:e.title??e.name}),r("button",{type:"button",class:"\
plain","aria-label":`Remove ${e.name}`,title:"Remove",onClick:s,children:r(J,{name:"close"})})]}),r("p",{class:"hint",children:e.
about}),e.more_passes>0&&r("p",{class:"hint",children:["Costs ",e.more_passes===1?"one more pass":`${e.more_passes} more\
 passes`," a step."]}),e.parameters.filter(he).map(m=>r($r,{rule:e,parameter:m,families:n,value:t.values[m.name]??m.default,
plain:u.values[m.name]??m.default,set:d=>i(m.name,d)},m.name)),r("details",{children:[r("summary",{children:["More of ",
e.name]}),e.parameters.filter(m=>!he(m)).map(m=>r("label",{children:[r("span",{class:"name",children:m.name}),m.kind==="\
choice"?r("select",{value:t.values[m.name]??m.default,onChange:d=>i(m.name,d.currentTarget.value),children:m.choices.map(
d=>r("option",{value:d,children:d},d))}):r("input",{type:"text",class:"mono",value:t.values[m.name]??"",placeholder:m.default,
onInput:d=>i(m.name,d.currentTarget.value)}),r("span",{class:"hint",children:m.about})]},m.name)),r("label",{children:[r(
"span",{class:"name",children:"Values published for"}),r("select",{value:f,onChange:m=>{c(m.currentTarget.value);let d=fe(
n.find(h=>h.family===m.currentTarget.value),e.name);d&&a(d)},children:[r("option",{value:"",children:p&&f===""?"this mod\
el":"Choose a model…"}),l.map(m=>r("option",{value:m.family,children:m.title},m.family))]}),p&&r("span",{class:"hint",
children:[p.origin,": ",p.source]})]})]})]})}function $r({rule:e,parameter:t,families:n,value:o,plain:a,set:s}){let{min:i,
max:l,step:u}=Ge(e,t,n),f=Number(o),c=Number.isFinite(f)?f:o.startsWith("inf")?l:i,p=`${e.name}-${t.name}`,m=Math.min(Math.
max((c-i)/(l-i),0),1);return r("div",{class:"slider",children:[r("label",{for:p,class:"name",children:t.name}),o!==a&&r(
"button",{type:"button",class:"reset",onClick:()=>s(a),"aria-label":`Set ${t.name} back to ${a}`,children:["back to ",a]}),
r("input",{type:"text",inputmode:"decimal",class:"number","aria-label":`${t.name}, ${t.range??"any number"}`,value:o,onChange:d=>s(
d.currentTarget.value.trim()||a)}),r("input",{type:"range",id:p,min:i,max:l,step:u,value:c,style:{"--part":m},"aria-desc\
ribedby":`${p}-about`,"aria-valuetext":o,onInput:d=>s(Ee(d.currentTarget.valueAsNumber))}),r("p",{class:"hint",id:`${p}-\
about`,children:[t.about," ",r("span",{class:"range",children:t.range})]})]})}function $n(){let e=y(v),t=$(e.model),{answer:n,error:o}=y(H),a=y(_e),s=n&&n.reads_negative===!1&&e.negative.trim()!=="";
return r("form",{class:"composer","aria-label":"What to make",onSubmit:i=>{i.preventDefault(),de()},children:[r("div",{class:"\
card words",children:[r("label",{children:[r("span",{class:"name",children:"Prompt"}),r("textarea",{id:"prompt",rows:2,value:e.
prompt,placeholder:"What the picture shows",required:!0,"aria-invalid":(a??o)?.param==="prompt",onInput:i=>v.change({prompt:i.
currentTarget.value})})]}),r("label",{class:"negative",children:[r("span",{class:"name",children:"Not in the picture"}),
r("textarea",{id:"negative",rows:1,value:e.negative,placeholder:"The negative prompt","aria-describedby":"negative-help",
onInput:i=>v.change({negative:i.currentTarget.value})})]}),r("p",{id:"negative-help",class:s?"warning":"hint",role:"stat\
us",children:s?"Nobody reads the negative prompt: the guidance has no rule that does. Choose Automatic, or add nag.":e.negative.
trim()===""?"Works in few steps too: guidance in attention reads it.":""}),r("p",{class:"examples",children:[r("span",{class:"\
hint",children:"Try"}),Rt(t).map(([i,l,u])=>r("button",{type:"button",class:"chip",onClick:()=>v.change({prompt:i,negative:l,
seed:String(u)}),children:[i," ",r("span",{class:"not",children:["not ",l]})]},i))]})]}),r(Jr,{asked:e}),e.picture&&ke(t)&&
r(Tn,{picture:e.picture}),r(Pn,{}),r(Ar,{asked:e}),r(Dr,{asked:e}),r("div",{class:"go",children:[r(Rr,{}),r("button",{type:"\
submit",class:"primary",disabled:y(Re),"aria-keyshortcuts":"Control+Enter",children:[Er(e)," ",r("kbd",{"aria-hidden":"t\
rue",children:"Ctrl ⏎"})]})]})]})}function Er(e){let t=e.mode==="grid"?it(e.grid).length*e.count:e.count;return{picture:"\
Make the picture",compare:"Make both pictures",seeds:`Make ${t} pictures`,grid:`Make ${t} pictures`}[e.mode]}function Rr(){
let{answer:e,error:t}=y(H),n=y(_e)??t,o=e?.seconds??0,a=(e?.warnings??[]).filter(s=>!s.startsWith("No guidance rule read\
s"));return r("div",{class:"warnings",children:[r("div",{role:"alert",children:n&&r("p",{class:"error",children:n.message})}),
r("div",{role:"status",children:[a.map(s=>r("p",{class:"warning",children:s},s)),!n&&e&&e.size&&r("p",{class:"hint",children:[
e.size.replace("x"," × "),", ",e.steps," steps",o>=5?`, about ${Math.round(o)} s`:""]})]})]})}function Jr({asked:e}){let t=i=>{
let l=i==="grid"&&e.grid.parameter===""?Jn(Rn(e)[0]?.key??"steps",e):e.grid;v.change({mode:i,grid:l,count:i==="grid"?Math.
min(e.count,2):e.count})},n=Fe(e),{answer:o}=y(H),a=D(o?.guidance??""),s=o?.guidance!==void 0&&ie(a.map(({name:i})=>({name:i,
values:{}})))===n;return r("fieldset",{class:"card",children:[r("legend",{children:"Make"}),r("div",{class:"segments fou\
r",role:"group","aria-label":"What to make",children:[r(te,{name:"mode",value:"compare",chosen:e.mode,choose:t,text:"Com\
pare"}),r(te,{name:"mode",value:"picture",chosen:e.mode,choose:t,text:"Picture"}),r(te,{name:"mode",value:"seeds",chosen:e.
mode,choose:t,text:"Seeds"}),r(te,{name:"mode",value:"grid",chosen:e.mode,choose:t,text:"Grid"})]}),e.mode==="compare"&&
r("p",{class:s?"warning":"hint",children:s?"Both pictures would be the same: say what must not be in the picture, or add\
 a rule.":`The same seed twice: ${n==="none"?"without guidance":`with ${n} alone`}, and as you ask.`}),e.mode==="seeds"&&
r(Ke,{text:"Pictures",least:1,most:10,value:e.count,set:En,about:"Seeds that follow one another."}),e.mode==="grid"&&r(Or,
{asked:e})]})}var En=e=>v.change({count:e});function Rn(e){let t=e.guidance==="own"?e.rules:D(H.value.answer?.guidance??
"none"),n=C.value?.rules??[];return[...t.flatMap(o=>(n.find(a=>a.name===o.name)?.parameters??[]).filter(he).map(a=>({key:`${o.
name}.${a.name}`,text:`${o.name}: ${a.name}`}))),{key:"steps",text:"steps"},...$(e.model)?.attune.takes.includes("guidan\
ce_scale")?[{key:"guidance_scale",text:"embedded guidance"}]:[]]}function Jn(e,t){let n=$(t.model),[o,a]=e.split("."),s=C.
value?.rules.find(m=>m.name===o),i=s?.parameters.find(m=>m.name===a);if(!s||!i){let m=n?.attune.default_steps??4;return{
parameter:e,from:"1",to:e==="steps"?String(m*2):"7",count:4}}let{min:l,max:u}=Ge(s,i,C.value?.families??[]),f=t.guidance===
"own"?t.rules:D(H.value.answer?.guidance??"none"),c=Number(f.find(m=>m.name===o)?.values[i.name]??i.default),p=i.maximum===
void 0&&c>0?Math.min(c*2,u):u;return{parameter:e,from:Ee(l),to:Ee(p),count:i.kind==="integer"?Math.min(u-l+1,4):4}}function Or({
asked:e}){y(H);let{grid:t}=e,n=Rn(e),o=s=>v.change({grid:{...v.value.grid,...s}}),a=(s,i)=>r("label",{children:[r("span",
{class:"name",children:i}),r("input",{type:"text",inputmode:"decimal",class:"number",value:t[s],onChange:l=>o({[s]:l.currentTarget.
value})})]});return r(T,{children:[r("label",{children:[r("span",{class:"name",children:"Over"}),r("select",{value:t.parameter,
onChange:s=>v.change({grid:Jn(s.currentTarget.value,e)}),children:[n.every(s=>s.key!==t.parameter)&&r("option",{value:t.
parameter,children:[t.parameter," (does not act now)"]}),n.map(s=>r("option",{value:s.key,children:s.text},s.key))]})]}),
r("div",{class:"fields",children:[a("from","From"),a("to","To"),r(Ke,{text:"Values",least:2,most:8,value:t.count,set:s=>o(
{count:s})}),r(Ke,{text:"Seeds",least:1,most:6,value:e.count,set:En})]}),r("p",{class:"hint",children:it(t).join(", ")})]})}
function Fr(e){let[t=512,n=512]=(e?.attune.default_size??"").split("x").map(Number),o=e?.attune.size_multiple??16,a=t*n,
s=i=>Math.max(Math.round(i/o),1)*o;return[[1,1],[4,3],[3,4],[3,2],[2,3],[16,9],[9,16]].map(([i,l])=>`${s(Math.sqrt(a*i/l))}\
x${s(Math.sqrt(a*l/i))}`).filter((i,l,u)=>u.indexOf(i)===l)}function Ar({asked:e}){let t=$(e.model),n=t?.attune.default_size??
"",o=[...new Set([n,...Fr(t),...e.size!==""?[e.size]:[]])];return r("fieldset",{class:"card",children:[r("legend",{children:"\
Picture"}),r("div",{class:"fields",children:[r("label",{children:[r("span",{class:"name",children:"Size"}),r("select",{value:e.
size===""?n:e.size,onChange:a=>v.change({size:a.currentTarget.value===n?"":a.currentTarget.value}),children:o.map(a=>r("\
option",{value:a,children:[a.replace("x"," × "),a===n?" (the model's)":""]},a))})]}),r("label",{children:[r("span",{class:"\
name",children:"Steps"}),r("input",{type:"number",class:"number",min:1,max:t?.attune.max_steps,value:e.steps,placeholder:String(
t?.attune.default_steps??""),onInput:a=>v.change({steps:a.currentTarget.value})})]})]}),r("div",{class:"seed",children:[
r("label",{children:[r("span",{class:"name",children:"Seed"}),r("input",{type:"text",inputmode:"numeric",pattern:"[0-9]*",
value:e.seed,placeholder:"by chance",onInput:a=>v.change({seed:a.currentTarget.value.replace(/\D/g,"").slice(0,18)})})]}),
r("button",{type:"button",class:"plain",title:"Another seed","aria-label":"Another seed",onClick:()=>v.change({seed:et()}),
children:r(J,{name:"dice"})}),r($e,{text:"another one each time",checked:e.newSeed,set:a=>v.change({newSeed:a})})]})]})}
function Dr({asked:e}){let t=$(e.model),n=C.value;return r("details",{class:"card more",children:[r("summary",{children:"\
More"}),n.models.length>1&&r("label",{children:[r("span",{class:"name",children:"Model"}),r("select",{value:t?.id,onChange:o=>v.
change({model:o.currentTarget.value,size:"",steps:""}),children:n.models.map(o=>r("option",{value:o.id,children:o.id},o.
id))})]}),ke(t)&&r("label",{children:[r("span",{class:"name",children:"Begin with a picture"}),r("input",{type:"file",accept:"\
image/*",onChange:o=>{let a=o.currentTarget.files?.[0];a&&dt(a,a.name)}})]}),r($e,{text:"Record what guidance does",checked:e.
trace,set:o=>v.change({trace:o})}),r("p",{class:"hint",children:"Measures every attention layer in every step; the pictu\
re stays the same. Takes some time with large models."}),r("label",{children:[r("span",{class:"name",children:"Scheduler"}),
r("input",{type:"text",class:"mono",value:e.scheduler,placeholder:t?.attune.scheduler,spellcheck:!1,onChange:o=>v.change(
{scheduler:o.currentTarget.value.trim()})}),r("span",{class:"hint",children:"euler, heun, lcm, dpmpp_2m karras, …"})]}),
st(t).map(o=>r("label",{class:o.kind==="flag"?"check":"",children:[o.kind==="flag"?r("input",{type:"checkbox",checked:e.
more[o.key]==="true",onChange:a=>v.change({more:{...v.value.more,[o.key]:a.currentTarget.checked?"true":""}})}):r("span",
{class:"name",children:o.key.replaceAll("_"," ")}),o.kind==="flag"?r("span",{children:o.key.replaceAll("_"," ")}):r("inp\
ut",{type:"text",value:e.more[o.key]??"",placeholder:o.range??"",onChange:a=>v.change({more:{...v.value.more,[o.key]:a.currentTarget.
value.trim()}})}),r("span",{class:"hint",children:o.description})]},o.key))]})}function On({without:e,with:t,labels:n,ratio:o,most:a}){let[s,i]=M(Q("beside")??!1),[l,u]=M(50),f=c=>{i(c),le("beside",c)};
return r("div",{class:`comparison ${s?"two":"one"}`,style:{"--most":a,"--ratio":o},children:[s?r("div",{class:"beside",children:[
r("figure",{children:[r("div",{style:{aspectRatio:String(o)},children:e}),r("figcaption",{children:n[0]})]}),r("figure",
{children:[r("div",{style:{aspectRatio:String(o)},children:t}),r("figcaption",{children:n[1]})]})]}):r("div",{class:"ove\
r",style:{"--at":`${l}%`,aspectRatio:String(o)},children:[r("div",{class:"layer",children:t}),r("div",{class:"layer firs\
t",children:e}),r("span",{class:"tag left","aria-hidden":"true",children:n[0]}),r("span",{class:"tag right","aria-hidden":"\
true",children:n[1]}),r("input",{type:"range",min:0,max:100,step:1,value:l,"aria-label":`Divider. Left: ${n[0]}. Right: ${n[1]}\
.`,"aria-valuetext":`${l} % ${n[0]}`,onInput:c=>u(c.currentTarget.valueAsNumber)}),r("span",{class:"divider","aria-hidde\
n":"true",children:r("span",{class:"knob"})})]}),r("div",{class:"segments two",role:"group","aria-label":"How to compare",
children:[r("label",{children:[r("input",{type:"radio",name:"beside",checked:!s,onChange:()=>f(!1)}),r("span",{children:"\
Divider"})]}),r("label",{children:[r("input",{type:"radio",name:"beside",checked:s,onChange:()=>f(!0)}),r("span",{children:"\
Side by side"})]})]})]})}var Nr=[{title:"Attention",test:/^attention\./,open:!0},{title:"Predictions",test:/^prediction\./,open:!0},{title:"Retri\
eval: attention as a Hopfield network",test:/^(hopfield|entmax|anderson)\./,open:!1}];function An({url:e,picture:t}){let[
n,o]=M(null),[a,s]=M("");if(X(()=>{se(e).then(o,l=>s(B(l)))},[e]),a)return r("p",{class:"error",role:"alert",children:a});
if(!n)return r("p",{class:"hint",children:"Reading the trace…"});let i=n.series.filter(l=>l.rule!==null);return r("sec\
tion",{class:"trace","aria-label":"Trace",children:[n.places.slice(0,1).map(l=>r(Wr,{places:l,picture:t},"places")),i.map(
(l,u)=>r(Fn,{trace:n,series:l},u)),Nr.map(({title:l,test:u,open:f})=>{let c=n.series.filter(p=>p.rule===null&&u.test(p.quantity));
return c.length>0&&r("details",{open:f,children:[r("summary",{children:l}),r("div",{children:c.map(p=>r(Fn,{trace:n,series:p},
p.quantity))})]},l)})]})}function me(e,t){let n=t.unit==="share"?e*100:e,o=Math.abs(n)>=1e3||n!==0&&Math.abs(n)<.001?n.toExponential(
1):String(Number(n.toPrecision(3)));return t.unit==="share"?`${o} %`:o}var Br=[[43,30,102],[47,92,148],[31,142,140],[93,
187,99],[242,227,76]],Lr=[[29,78,158],[111,163,216],[213,216,220],[231,154,85],[176,74,18]];function Dn(e,t,n){let o=t<0&&
n>0,a=Math.max(-t,n),[s,i]=o?[-a,a]:[t,n],l=i>s?Math.min(Math.max((e-s)/(i-s),0),1):.5,u=o?Lr:Br,f=l*(u.length-1),c=Math.
min(Math.floor(f),u.length-2),p=u[c].map((b,_)=>Math.round(b+(u[c+1][_]-b)*(f-c))),[m,d,h]=p.map(b=>{let _=b/255;return _<=
.04045?_/12.92:((_+.055)/1.055)**2.4}),x=.2126*m+.7152*d+.0722*h;return{color:`rgb(${p.join(" ")})`,isLight:x>.179}}function Nn(e){
let t=e.some(o=>o.startsWith("single_transformer_blocks.")),n=e.map(o=>o.replace(/\.attn[12]?$/,"").replace(/^single_transformer_blocks\./,
"single.").replace(/^transformer_blocks\./,t?"double.":"block.").replace(/^(down|up)_blocks\./,"$1.").replace(/^mid_block\./,
"mid.").replaceAll("attentions.","").replaceAll("transformer_blocks.",""));return new Set(n).size===n.length?n:e}var Xr=500;
function Fn({trace:e,series:t}){let n=e.quantities.find(a=>a.name===t.quantity),o=[...new Set(t.values.map(a=>a.layer))].
filter(a=>a!==null).sort((a,s)=>a-s);return r("article",{class:"panel",children:[r("h4",{children:[n.title,t.rule!==null&&
r("code",{children:e.rules[t.rule]?.name})]}),r("p",{children:t.says}),o.length===0?r(Ir,{trace:e,series:t,quantity:n}):
o.length*e.steps.length<=Xr?r(Hr,{trace:e,series:t,quantity:n,layers:o}):r(jr,{trace:e,series:t,quantity:n,layers:o}),r(
"p",{class:"hint",children:n.definition})]})}function Hr({trace:e,series:t,quantity:n,layers:o}){let a=Nn(o.map(u=>e.layers[u].
path)),s=t.values.map(u=>u.mean),[i,l]=[Math.min(...s),Math.max(...s)];return r("div",{class:"scroll",tabIndex:0,role:"r\
egion","aria-label":`${n.title}, by layer and step`,children:r("table",{class:"map",children:[r("thead",{children:r("tr",
{children:[r("th",{scope:"col",children:"layer"}),e.steps.map(u=>r("th",{scope:"col",children:["step ",u.index+1]},u.index))]})}),
r("tbody",{children:o.map((u,f)=>r("tr",{children:[r("th",{scope:"row",title:e.layers[u].path,children:a[f]}),e.steps.map(
c=>{let p=t.values.find(h=>h.layer===u&&h.step===c.index);if(!p)return r("td",{class:"none",children:"–"},c.index);let{
color:m,isLight:d}=Dn(p.mean,i,l);return r("td",{class:d?"light":"dark",style:{background:m},title:`middle 80 %: ${me(p.
p10,n)} to ${me(p.p90,n)}`,children:me(p.mean,n)},c.index)})]},u))})]})})}function jr({trace:e,series:t,quantity:n,layers:o}){
let a=z(null),[s,i]=M(""),l=Nn(o.map(h=>e.layers[h].path)),u=t.values.map(h=>h.mean),[f,c]=[Math.min(...u),Math.max(...u)],
[p,m]=[e.steps.length,o.length];X(()=>{let h=a.current?.getContext("2d");if(h)for(let x of t.values)h.fillStyle=Dn(x.mean,
f,c).color,h.fillRect(x.step,o.indexOf(x.layer),1,1)},[t]);let d=h=>{let x=a.current.getBoundingClientRect(),b=Math.min(
Math.floor((h.clientX-x.left)/x.width*p),p-1),_=Math.min(Math.floor((h.clientY-x.top)/x.height*m),m-1),g=t.values.find(w=>w.
step===b&&w.layer===o[_]);i(g?`${l[_]}, step ${b+1}: ${me(g.mean,n)}`:"")};return r("figure",{class:"large",children:[r(
"canvas",{ref:a,width:p,height:m,role:"img","aria-label":`${n.title}, by layer and step. ${t.says}`,onMouseMove:d,onMouseLeave:()=>i(
"")}),r("figcaption",{class:"hint",children:["Layers down, steps to the right; dark is ",me(f,n),", light ",me(c,n),". ",
s]})]})}function Ir({trace:e,series:t,quantity:n}){let o=Math.max(...t.values.map(a=>Math.abs(a.mean)),1e-12);return r("\
table",{class:"bars",children:r("tbody",{children:t.values.map(a=>r("tr",{children:[r("th",{scope:"row",children:["step ",
(e.steps[a.step]?.index??0)+1]}),r("td",{children:[r("span",{class:"bar",style:{width:`${Math.abs(a.mean)/o*100}%`}}),r(
"span",{children:me(a.mean,n)})]})]},a.step))})})}function Wr({places:e,picture:t}){let n=f=>{let c=f.filter(p=>p!==null);
return(c[0]??[]).map((p,m)=>c.reduce((d,h)=>d+(h[m]??0),0)/Math.max(c.length,1))},[o,a]=[n(e.by_row),n(e.by_column)],s=Math.
max(...o,...a,1e-12),i=o.indexOf(Math.max(...o)),l=(f,c,p)=>p[Math.min(Math.floor(f/c*3),2)],u=`Guidance moves the ${l(i,
o.length,["upper","middle","lower"])} part of the picture most, and its ${l(a.indexOf(Math.max(...a)),a.length,["left","\
middle","right"])} part.`;return r("article",{class:"panel places",children:[r("h4",{children:"Where in the picture"}),r(
"p",{children:u}),r("div",{class:"frame",role:"img","aria-label":u,children:[r("img",{src:t.url,alt:""}),r("div",{class:"\
rows",children:o.map((f,c)=>r("span",{style:{width:`${f/s*100}%`}},c))}),r("div",{class:"columns",children:a.map((f,c)=>r(
"span",{style:{height:`${f/s*100}%`}},c))})]}),r("p",{class:"hint",children:"How far guidance moves the attention output\
, by row and column of the latents, over all steps and layers."})]})}function Ln(){let e=y(R);y(ue);let t=y(I),n=e?.kind==="set"?t.find(a=>a.id===e.id):void 0,o=e?.kind==="picture"?ee(e.id):
void 0;return r("section",{id:"stage",class:"stage","aria-label":"Result",tabIndex:-1,children:n?r(qr,{set:n},n.id):o?r(
Kr,{picture:o},o.id):r(zr,{})})}function zr(){return r("div",{class:"empty",children:[r("svg",{viewBox:"0 0 220 110",width:"\
220",height:"110","aria-hidden":"true",focusable:"false",children:[r("rect",{x:"6",y:"8",width:"94",height:"94",rx:"16",
class:"ghost"}),r("rect",{x:"120",y:"8",width:"94",height:"94",rx:"16",class:"ghost lit"}),r("path",{d:"M110 0v110",class:"\
divider"}),r("circle",{cx:"110",cy:"55",r:"11",class:"knob"})]}),r("h2",{children:"One seed, without and with guidance"}),
r("p",{children:"The prompt is filled in. Make both pictures, and move the divider between them to see what the negative\
 prompt took away."}),r("button",{type:"button",class:"primary",onClick:()=>{de()},children:"Make the first pictures"})]})}
function Dt(e,t){let n=t.get(e.job);return{job:n,picture:n?.images.find(o=>o.index===e.index)}}function qr({set:e}){let t=y(
F),n=[...new Set(e.cells.map(u=>u.job))];X(()=>{for(let u of n)t.has(u)||ge(u)},[e.id]);let o=n.map(u=>t.get(u)).filter(
u=>u!==void 0&&Y(u)),[a,s]=M(e.kind==="compare"?1:0),i=e.cells[Math.min(a,e.cells.length-1)],{picture:l}=i?Dt(i,t):{picture:void 0};
return r(T,{children:[r("header",{class:"bar",children:[r("h2",{children:e.prompt}),o.length>0&&r("button",{type:"button",
class:"small",onClick:()=>{for(let u of o)we(u.id)},children:["Cancel",o.length>1?` all ${o.length}`:""]})]}),r(Ur,{ids:n,
looked:i?.job}),r("div",{class:e.cells.length<=2?"body":"body wide",children:[e.kind==="compare"&&e.cells.length===2?r(On,
{without:r(mt,{cell:e.cells[0]}),with:r(mt,{cell:e.cells[1]}),labels:[e.cells[0].label,e.cells[1].label],ratio:Bn(e,t),most:At(
l)}):e.cells.length===1?r("div",{class:"single",style:{"--most":At(l),"--ratio":Bn(e,t)},children:r(mt,{cell:e.cells[0]})}):
r(Vr,{set:e,focus:a,choose:s}),l&&r(Xn,{picture:l,compared:e.kind==="compare"})]})]})}function At(e){return`${e?Math.min(
Math.max(e.width*3.5,320),1024):448}px`}function Bn(e,t){for(let a of e.cells){let{picture:s,job:i}=Dt(a,t);if(s)return s.
width/s.height;let[l,u]=[Number(i?.request.width),Number(i?.request.height)];if(l>0&&u>0)return l/u}let[n,o]=($("")?.attune.
default_size??"1x1").split("x").map(Number);return n/o}function Ur({ids:e,looked:t}){let n=y(F),o=e.map(s=>n.get(s)).filter(
s=>s!==void 0),a=o.find(s=>s.id===t)?.warnings??[];return r(T,{children:[o.filter(s=>s.status==="failed").map(s=>r("p",{
class:"error",role:"alert",children:s.error?.message},s.id)),a.map(s=>r("p",{class:"warning",children:s},s))]})}function mt({
cell:e,small:t=!1}){let{job:n,picture:o}=Dt(e,y(F)),a=y(q).get(e.job);if(o)return r("img",{class:"made",src:t?o.thumbnail_url:
o.url,width:o.width,height:o.height,alt:De(o)});let s=a?.image===e.index&&n!==void 0&&Y(n),i=n?n.status==="failed"?"Fail\
ed":n.status==="cancelled"?"Cancelled":s&&a.count>0?`Step ${a.index} of ${a.count}`:n.status==="running"?s?"Reading the \
prompt":"Next":Y(n)?Nt(n):"Deleted":"No longer kept";return r("div",{class:`making ${n&&Y(n)?"live":"over"}`,children:[s&&
a.preview&&r("img",{src:a.preview,alt:""}),r("span",{class:"state",children:[!t&&s&&a.count>0&&r("progress",{max:a.count,
value:a.index,"aria-label":e.label}),i]})]})}function Nt(e){let t=e.seconds??0,n=e.position?`${e.position} before it`:"N\
ext";return t>=2?`${n}, ${Math.round(t)} s`:n}function De(e){let t=e.parameters.negative_prompt;return`${String(e.parameters.
prompt??"A picture")}${t?`, not ${String(t)}`:""}, seed ${e.seed}`}var Ft=e=>e.axis.replace("."," ").replaceAll("_"," ");
function Vr({set:e,focus:t,choose:n}){let o=Math.max(e.columns.length,1),a=l=>{let u=e.cells[l];return r("button",{type:"\
button",class:"cell","aria-pressed":l===t,onClick:()=>n(l),title:u.label,children:[r(mt,{cell:u,small:!0}),r("span",{class:e.
columns.length>0?"sr":"label",children:u.label})]})},[,s]=M(0),i=l=>{let u=e.columns.length>0?o:1,f={ArrowLeft:-1,ArrowRight:1,
ArrowUp:-u,ArrowDown:u}[l.key],c=t+(f??0);f===void 0||c<0||c>=e.cells.length||(l.preventDefault(),n(c),s(c),l.currentTarget.
querySelectorAll(".cell")[c]?.focus())};return e.columns.length===0?r("div",{class:"seeds",onKeyDown:i,children:e.cells.
map((l,u)=>r("div",{children:a(u)},l.label))}):r("div",{class:"scroll",tabIndex:0,role:"region","aria-label":`Grid over ${Ft(
e)}`,children:r("table",{class:"grid",onKeyDown:i,children:[r("caption",{class:"sr",children:["Pictures by ",Ft(e)," and\
 seed"]}),r("thead",{children:r("tr",{children:[r("th",{scope:"col",children:Ft(e)}),e.columns.map(l=>r("th",{scope:"col",
children:l},l))]})}),r("tbody",{children:e.rows.map((l,u)=>r("tr",{children:[r("th",{scope:"row",children:l}),e.columns.
map((f,c)=>r("td",{children:a(u*o+c)},f))]},l))})]})})}function Kr({picture:e}){let{ids:t}=y(N),n=t.indexOf(e.id),o=a=>{
let s=t[n+a];s&&ce(s)};return r(T,{children:[r("header",{class:"bar",children:[r("h2",{children:String(e.parameters.prompt??
"")}),r("span",{class:"pair",children:[r("button",{type:"button",class:"plain","aria-label":"Newer picture",title:"Newer\
 (←)",disabled:n<=0,onClick:()=>o(-1),children:r(J,{name:"back"})}),r("button",{type:"button",class:"plain","aria-labe\
l":"Older picture",title:"Older (→)",disabled:n<0||n>=t.length-1,onClick:()=>o(1),children:r(J,{name:"next"})})]})]}),
r("div",{class:"body",children:[r("div",{class:"single",style:{"--most":At(e),"--ratio":e.width/e.height},children:r("im\
g",{class:"made",src:e.url,width:e.width,height:e.height,alt:De(e)})}),r(Xn,{picture:e})]})]})}var Gr=/^(hopfield|entmax|anderson)\./;
function Xn({picture:e,compared:t=!1}){let n=ee(e.id)??e,{parameters:o}=n,[a,s]=M(!1),i=(n.findings??[]).filter(p=>!Gr.test(
p.quantity)).sort((p,m)=>+(p.rule===void 0)-+(m.rule===void 0)),l=D(String(o.guidance??"none")),u=p=>String(o[p]??""),f=p=>{
navigator.clipboard?.writeText(p).then(()=>A("Copied."))},c=p=>{xe(o),v.change(p),de(v.value)};return r(T,{children:[r("\
div",{class:"details",children:[r("div",{class:"actions",children:[r("button",{type:"button",onClick:()=>{xe(o),A("The s\
ettings are in the form.")},children:"Use these settings"}),!t&&l.length>0&&u("guidance")!==Fe(v.value)&&r("button",{type:"\
button",onClick:()=>c({mode:"compare"}),children:"Compare with plain"}),r("button",{type:"button",onClick:()=>c({mode:"s\
eeds",count:4,seed:u("seed")}),children:"Vary the seed"}),ke($(v.value.model))&&r("button",{type:"button",onClick:()=>{Sn(
n)},children:"Begin with it"}),r("span",{class:"tools",children:[r("button",{type:"button",class:"plain star","aria-pres\
sed":n.starred,"aria-label":"Star: keep this picture",title:"Star (.)",onClick:()=>{ct(n)},children:r(J,{name:"star",filled:n.
starred})}),r("a",{class:"button plain",href:n.url,download:`attune-${n.seed}.${n.format}`,"aria-label":"Download",title:"\
Download",children:r(J,{name:"download"})}),r("button",{type:"button",class:"plain","aria-label":"Delete",title:"Delete",
onClick:()=>kn(n),children:r(J,{name:"trash"})})]})]}),i.length>0&&r("section",{class:"did","aria-label":"What guidance \
did",children:[r("h3",{children:"What guidance did"}),r("ul",{children:i.map(p=>r("li",{title:p.title,class:p.rule?"own":
"",children:[p.rule&&r("code",{children:D(p.rule)[0]?.name})," ",p.text]},`${p.rule} ${p.quantity}`))}),n.trace_url&&r("\
button",{type:"button",class:"small","aria-expanded":a,onClick:()=>s(!a),children:a?"Hide the trace":"Where and when: th\
e trace"})]}),r("dl",{class:"facts",children:[u("negative_prompt")!==""&&r(T,{children:[r("dt",{children:"Not"}),r("dd",
{children:u("negative_prompt")})]}),r("dt",{children:"Seed"}),r("dd",{children:[String(n.seed)," ",r("button",{type:"but\
ton",class:"plain tiny","aria-label":"Copy the seed",title:"Copy",onClick:()=>f(String(n.seed)),children:r(J,{name:"copy"})})]}),
r("dt",{children:"Size"}),r("dd",{children:[n.width," × ",n.height]}),r("dt",{children:"Steps"}),r("dd",{children:u("st\
eps")}),r("dt",{children:"Guidance"}),r("dd",{class:"mono",children:l.length===0?"none":Qr(u("guidance"))}),r("dt",{children:"\
Model"}),r("dd",{children:u("model")})]})]}),a&&n.trace_url&&r(An,{url:n.trace_url,picture:n})]})}function Qr(e){return D(
e).map(t=>{let n=C.value?.rules.find(a=>a.name===t.name),o=Object.entries(t.values).filter(([a,s])=>{let i=n?.parameters.
find(l=>l.name===a);return i?.kind==="number"||i?.default!==s&&s!=="all"});return o.length===0?t.name:`${t.name}: ${o.map(
([a,s])=>`${a} ${s}`).join(", ")}`}).join(" + ")}function Hn(){let e=ve(y(F)),t=y(q);if(e.length===0)return null;let n=o=>{let a=I.value.find(s=>s.cells.some(i=>i.job===
o));a?R.set({kind:"set",id:a.id}):A("This was asked for in another window.")};return r("section",{class:"queue card","ar\
ia-label":"Queue",children:[r("header",{class:"bar",children:[r("h2",{children:"Being made"}),e.length>1&&r("button",{type:"\
button",class:"small",onClick:()=>{if(confirm(`Cancel all ${e.length}?`))for(let o of e)we(o.id)},children:"Cancel all"})]}),
r("ul",{children:e.map(o=>{let a=t.get(o.id),s=o.count*Math.max(a?.count??1,1),i=a?a.image*a.count+a.index:o.images.length,
l=String(o.request.prompt);return r("li",{children:[r("button",{type:"button",class:"plain what",onClick:()=>n(o.id),children:l}),
r("span",{class:"hint",children:[o.status==="running"&&o.count>1&&`${o.images.length} of ${o.count}, `,o.status!=="runni\
ng"?Nt(o):a?`step ${a.index} of ${a.count}`:"begins"]}),r("progress",{max:s,value:o.status==="running"?i:0,"aria-label":`\
Progress of ${l}`}),r("button",{type:"button",class:"plain","aria-label":`Cancel ${l}`,title:"Cancel",onClick:()=>{we(o.
id)},children:r(J,{name:"close"})})]},o.id)})})]})}function jn(){let{ids:e,more:t,starred:n}=y(N);y(ue);let o=y(R),a=z(null);
return r("section",{class:"gallery","aria-label":"Gallery",children:[r("header",{class:"bar",children:[r("h2",{children:"\
Pictures"}),r("span",{class:"pair",children:[r("button",{type:"button",class:"small","aria-pressed":n,onClick:()=>{N.change(
{starred:!n,ids:[]}),Z()},children:[r(J,{name:"star",filled:n})," Starred"]}),r("button",{type:"button",class:"small",onClick:()=>a.
current?.click(),children:[r(J,{name:"open"})," Recall from a file"]}),r("input",{ref:a,type:"file",accept:"image/*",class:"\
sr",tabIndex:-1,"aria-label":"A picture whose settings are recalled",onChange:s=>{let i=s.currentTarget.files?.[0];i&&Ae(
i),s.currentTarget.value=""}})]})]}),e.length===0?r("p",{class:"hint",children:n?"No picture has a star.":"Pictures that\
 are made appear here, and stay. Drop one anywhere on the page to recall its settings."}):r("ul",{class:"thumbs",children:e.
map(s=>{let i=ee(s);return i&&r("li",{children:r("button",{type:"button","aria-current":o?.kind==="picture"&&o.id===s?"t\
rue":void 0,title:De(i),onClick:()=>{ce(s),document.querySelector("#stage")?.scrollIntoView({block:"nearest"})},children:[
r("img",{src:i.thumbnail_url,loading:"lazy",width:i.width,height:i.height,alt:De(i)}),i.starred&&r("span",{class:"mark",
children:[r(J,{name:"star",filled:!0}),r("span",{class:"sr",children:"starred"})]})]})},s)})}),t&&r("button",{type:"butt\
on",class:"small",onClick:()=>{xn()},children:"Older pictures"})]})}var Ne=new P(Q("theme")??"auto"),pt=new P(!1),ft=new P(!1),In=()=>{document.documentElement.dataset.theme=Ne.value,le("t\
heme",Ne.value)};Ne.watch(In);In();function Yr(){let e=y(C),t=y(Ze);return r(T,{children:[r("a",{class:"skip",href:"#sta\
ge",children:"To the result"}),r(Zr,{}),e?r("main",{children:[r($n,{}),r("div",{class:"right",children:[r(Ln,{}),r(Hn,{}),
r(jn,{})]})]}):r("main",{class:"loading",children:t?r("p",{class:"error",role:"alert",children:[t," ",r("button",{type:"\
button",onClick:()=>{rt()},children:"Try again"})]}):r("p",{class:"hint",children:"Asking the server…"})}),r(eo,{}),r(
to,{}),r(ro,{}),r(oo,{})]})}function Zr(){let e=y(C),t=y(Ne),n={auto:"light",light:"dark",dark:"auto"},o={auto:"auto",light:"\
sun",dark:"moon"};return r("header",{class:"top",children:[r("h1",{children:[r("img",{src:"/page/icon.svg",alt:"",width:28,
height:28})," Attune"]}),r("p",{class:"model",children:e?.status.default_model}),r("nav",{"aria-label":"Page",children:[
r("a",{class:"button plain",href:"/reference/","aria-label":"The API",title:"The API",children:r(J,{name:"code"})}),r("b\
utton",{type:"button",class:"plain","aria-label":`Colours: ${t}`,title:`Colours: ${t}`,onClick:()=>Ne.set(n[t]),children:r(
J,{name:o[t]})}),r("button",{type:"button",class:"plain","aria-label":"Keys",title:"Keys (?)",onClick:()=>ft.set(!0),children:r(
J,{name:"help"})})]})]})}function eo(){let e=y(Je);return r(T,{children:[r("div",{class:"toasts",role:"status",children:e&&
r("p",{class:"toast",children:[e.text,e.label&&r("button",{type:"button",onClick:()=>Oe(!0),children:e.label})]})}),r("d\
iv",{class:"sr","aria-live":"polite",children:y(lt)})]})}function to(){let[e,t]=M(!1);return X(()=>{let n=0,o=i=>i.dataTransfer?.
types.includes("Files")??!1,a=[["dragenter",i=>{o(i)&&(n++,t(!0))}],["dragleave",()=>{n=Math.max(n-1,0),t(n>0)}],["drago\
ver",i=>{o(i)&&i.preventDefault()}],["drop",i=>{n=0,t(!1);let l=i.dataTransfer?.files[0];l&&(i.preventDefault(),Ae(l))}]];
for(let[i,l]of a)addEventListener(i,l);let s=i=>{let l=[...i.clipboardData?.files??[]].find(u=>u.type.startsWith("image/"));
l&&Ae(l)};return addEventListener("paste",s),()=>{for(let[i,l]of a)removeEventListener(i,l);removeEventListener("paste",
s)}},[]),e?r("div",{class:"drop","aria-hidden":"true",children:r("p",{children:"Drop the picture to recall its settings"})}):
null}function Wn(e){let t=z(null);return X(()=>{e&&!t.current?.open&&t.current?.showModal(),!e&&t.current?.open&&t.current.
close()},[e]),t}var no=[["Ctrl or ⌘ + Enter","make what the form says"],["p","write the prompt"],["n","write the negat\
ive prompt"],["← →","the newer or older picture; the divider of a comparison"],["u","use the settings of the picture"],
[".","give the picture a star"],["?","these keys"],["Esc","close"]];function ro(){let e=y(ft),t=Wn(e);return r("dialog",
{ref:t,"aria-labelledby":"keys-title",onClose:()=>ft.set(!1),children:[r("h2",{id:"keys-title",children:"Keys"}),r("dl",
{class:"keys",children:no.map(([n,o])=>r("div",{children:[r("dt",{children:r("kbd",{children:n})}),r("dd",{children:o})]},
n))}),r("form",{method:"dialog",children:r("button",{children:"Close"})})]})}function oo(){let e=y(pt),t=Wn(e),[n,o]=M(""),
[a,s]=M(""),i=async()=>{try{await pe("/api/session",{key:n}),s(""),o(""),pt.set(!1),await rt()}catch(l){s(l instanceof j&&
l.status===401?"The server does not know this key.":B(l))}};return r("dialog",{ref:t,"aria-labelledby":"key-title",onClose:()=>pt.
set(!1),children:r("form",{onSubmit:l=>{l.preventDefault(),i()},children:[r("h2",{id:"key-title",children:"This server w\
ants an API key"}),r("label",{children:[r("span",{class:"name",children:"Key"}),r("input",{type:"password",autocomplete:"\
off",value:n,onInput:l=>o(l.currentTarget.value)})]}),r("div",{role:"alert",children:a&&r("p",{class:"error",children:a})}),
r("button",{class:"primary",children:"Open"})]})})}addEventListener("keydown",e=>{if(e.key==="Enter"&&(e.ctrlKey||e.metaKey)){
e.preventDefault(),C.value&&!document.querySelector("dialog[open]")&&de();return}let t=e.target;if(e.ctrlKey||e.metaKey||
e.altKey||document.querySelector("dialog[open]"))return;if(t.matches("textarea, select, input:not([type=checkbox]):not([\
type=radio])")){e.key==="Escape"&&t.blur();return}let n=R.value?.kind==="picture"?ee(R.value.id):void 0,o=i=>{if(!n||t.matches(
"input, .scroll, .cell"))return;let{ids:l}=N.value,u=l[l.indexOf(n.id)+i];u&&ce(u)},s={"?":()=>ft.set(!0),p:()=>document.
querySelector("#prompt")?.focus(),n:()=>document.querySelector("#negative")?.focus(),u:()=>{n&&(xe(n.parameters),A("The \
settings are in the form."))},".":()=>{n&&ct(n)},ArrowLeft:()=>o(-1),ArrowRight:()=>o(1)}[e.key];s&&(e.key.startsWith("A\
rrow")||e.preventDefault(),s())});pn(()=>pt.set(!0));Yt(r(Yr,{}),document.querySelector("#app"));rt();
