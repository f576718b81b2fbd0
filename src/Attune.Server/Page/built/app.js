/* Attune (MIT), with Preact (MIT, copyright (c) 2015-present Jason Miller). Made by npm run build of 7127b0568eddf0231e002bc4e83268116b781a766e3d530835a27938fb11386d */
var x,Dt,An,U,ut,Xe,jt,De,Lt,mt,dt,Dn,ke=Symbol.for("pv"),ze={},He=[],jn=/^m(i|n|o|s|text|space)$/,pt=Array.isArray,Bt=He.
slice,oe=Object.assign;function re(e){e&&e.parentNode&&e.remove()}function je(e,t,n,o,a){var s={type:e,props:t,key:n,ref:o,__k:null,__:null,__b:0,__e:null,__c:null,constructor:ke,__v:a||
++Dt,__i:-1,__u:0};return!a&&x.vnode&&x.vnode(s),s}function R(e){return e.children}function Le(e,t){this.props=e,this.context=t,this.__g=0}function V(e,t){if(t==null)return e.
__&&V(e.__,e.__i+1);for(var n;t<e.__k.length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!="function"||e.
props.__P?null:V(e)}function Ln(e){var t,n=e.__v,o=n.__e,a=[],s=[],i=e.__P;i&&((t=oe({constructor:ke},n)).__v=n.__v+1,x.
vnode&&x.vnode(t),ft(i,t,n,e.__n,i.namespaceURI,32&n.__u?[o]:null,a,o||V(n),32&n.__u,s),t.__v=n.__v,t.__.__k[t.__i]=t,qt(
a,t,s),n.__=n.__e=null,t.__e!=o&&Xt(t))}function Xt(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){
return t&&(e.__e=t.__e)}),Xt(e)}function Nt(e){(8&e.__g||(e.__g|=8,U.push(e),Xe++))&&ut==x.debounceRendering||((ut=x.debounceRendering)||
queueMicrotask)(zt)}function zt(){try{for(var e,t=1;U.length;)U.length>t&&U.sort(jt),e=U.shift(),t=U.length,8&e.__g&&Ln(
e)}finally{(Xe=U.length)&&(ut||queueMicrotask)(zt)}}function Ht(e,t,n,o,a,s,i,l,c,f,u){var p,m,d,h,w,v,y=o.__k||He,b=t.length;
for(c=Bn(n,t,y,c,b),p=0;p<b;p++)(d=n.__k[p])!=null&&(m=~d.__i&&y[d.__i]||ze,d.__i=p,v=ft(e,d,m,a,s,i,l,c,f,u),h=d.__e,(m.
ref!=d.ref||8&m.__u)&&(m.ref&&ht(m.ref,null,d,m),d.ref&&u.push(d.ref,d.__c||h,d)),w=w||h,4&d.__u?(c=It(d,c,e,!m.__v),m.__e&&
(m.__e=null)):typeof d.type=="function"&&v!==void 0?c=v:h&&(c=h.nextSibling),d.__u&=-21);return n.__e=w,c}function Bn(e,t,n,o,a){
var s,i,l,c,f,u,p,m,d,h=n.length,w=h,v=0,y=0,b=e.__k=Array(a);for(s=0;s<a;s++)(i=t[s])!=null&&typeof i!="boolean"&&typeof i!=
"function"?(typeof i!="object"||i.constructor===String?i=b[s]=je(null,i):pt(i)?i=b[s]=je(R,{children:i}):i.constructor===
ke&&i.__b?i=b[s]=je(i.type,i.props,i.key,i.ref,i.__v):b[s]=i,c=s+v,i.__=e,i.__b=e.__b+1,l=null,~(f=i.__i=Xn(i,n,c,w))&&(w--,
(l=n[f])&&(l.__u|=2)),l&&l.__v?(i.__u|=16,f==c-1?v--:f==c+1?v++:f!=c&&(f>c?v--:v++,y=1)):(~f||(a>h?v--:a<h&&v++),typeof i.
type!="function"&&(i.__u|=4))):b[s]=null;if(y){for(u=[],p=[],s=0;s<a;s++)if((i=b[s])&&16&i.__u){for(v=0,m=u.length;v<m;)
u[d=v+m>>1]<i.__i?v=d+1:m=d;u[v]=i.__i,p[s]=v+1}for(v=u.length;s--;)p[s]&&(p[s]==v?v--:b[s].__u|=4)}if(w)for(s=0;s<h;s++)
!(l=n[s])||2&l.__u||(l.__e==o&&(o=V(l)),gt(l,l));return o}function It(e,t,n,o){var a,s,i,l;if(typeof e.type=="function"){
if(e.props.__P)return t;if(a=e.__k)for(s=0;s<a.length;s++)a[s]&&(a[s].__=e,t=It(a[s],t,n,!1));return t}for(t&&!t.parentNode&&
(t=V(e))&&!t.parentNode&&(t=null),i=e.__e,l=t;l&&l.nodeType==8;)l=l.nextSibling;for(i!=l&&(!o&&n.moveBefore&&i.parentNode?
n.moveBefore(i,t):n.insertBefore(i,t||null)),t=i;(t=t&&t.nextSibling)&&t.nodeType==8&&!t.data.startsWith("$s"););return t}function Xn(e,t,n,o){var a,s=e.key,i=e.type,l=t[n],c=l&&!(2&l.__u);if(l===null&&s==null||c&&s==l.key&&i==l.type)return n;
if(o>(c?1:0)){for(a=n-1;a>=0;a--)if((l=t[a])&&!(2&l.__u)&&s==l.key&&i==l.type)return a;for(a=n+1;a<t.length;a++)if((l=t[a])&&
!(2&l.__u)&&s==l.key&&i==l.type)return a}return-1}function At(e,t,n){n==null&&(n=""),t[0]=="-"?e.setProperty(t,n):e[t]=n}
function Ae(e,t,n,o,a){var s,i;if(t=="style")if(typeof n=="string")e.style.cssText=n;else{if(typeof o=="string"&&(e.style.
cssText=o=""),o)for(t in o)n&&t in n||At(e.style,t);if(n)for(t in n)o&&n[t]==o[t]||At(e.style,t,n[t])}else if(t[0]=="o"&&
t[1]=="n")typeof n!="function"&&(n=null),typeof o!="function"&&(o=null),(e.__e||(e.__e={}))[t]=n,n&&o||(i=dt[t]||(dt[t]=
zn(t)),(e.__a||(e.__a={}))[t]=mt,s=t!=(t=t.replace(Lt,"$1")),(t=t.slice(2))[0]<"a"&&(t=t.toLowerCase()),n?e.addEventListener(
t,i,s):e.removeEventListener(t,i,s));else{if(a=="http://www.w3.org/2000/svg")t=t.replace(/xlink(H|:h)/,"h").replace(/sName$/,
"s");else if(t!="width"&&t!="height"&&t!="href"&&t!="list"&&t!="form"&&t!="tabIndex"&&t!="download"&&t!="rowSpan"&&t!="c\
olSpan"&&t!="role"&&t!="popover"&&t in e)try{return void(e[t]=n??"")}catch{}if(typeof n=="function")return;n==null||n===
!1&&t[4]!="-"?e.removeAttribute(t):e.setAttribute(t,t=="popover"&&n==1?"":n)}}function zn(e){return function(t){var n=this.
__e;if(n){if(n=n[e],t[De]==null)t[De]=mt++;else if(t[De]<this.__a[e])return;return n(x.event?x.event(t):t)}}}function ft(e,t,n,o,a,s,i,l,c,f){
var u,p,m,d,h,w,v,y,b,M,k,ct,Ot,Ne,te,Ft,q,ne,I=t.type;if(t.constructor!==ke)return null;128&n.__u&&(c=32&n.__u,u=n.__c.
__z)&&(t.__u|=c,p=s=[],u.nodeType==8?l=Be(u,s):s.push(u),l=s[0]||l),(u=x.__b)&&u(t);e:if(typeof I=="function"){m=i.length;
try{if(y=t.props,b=(u=I.prototype)&&u.render,M=(u=I.contextType)&&o[u.__c],k=u?M?M.props.value:u.__:o,(d=n.__c)?(t.__c=d,
2&d.__g&&(d.__g|=1)):(b?t.__c=d=new I(y,k):(t.__c=d=new Le(y,k),d.constructor=I,d.render=In),M&&M.sub(d),d.state||(d.state=
{}),d.__n=o,d.__g|=8,d.__h=[],d.__k=[]),b&&(d.__s||(d.__s=d.state),I.getDerivedStateFromProps&&(d.__s==d.state&&(d.__s=oe(
{},d.__s)),oe(d.__s,I.getDerivedStateFromProps(y,d.__s)))),h=d.props,w=d.state,d.__v=t,n.__c){if(y!==h&&b&&!I.getDerivedStateFromProps&&
d.componentWillReceiveProps&&d.componentWillReceiveProps(y,k),t.__v==n.__v&&!(8&d.__g)||!(4&d.__g)&&d.shouldComponentUpdate&&
d.shouldComponentUpdate(y,d.__s,k)===!1){t.__v!=n.__v&&(d.props=y,d.state=d.__s,d.__g&=-9),t.__e=n.__e,t.__k=n.__k,t.__k.
some(function(j){j&&(j.__=t)}),He.push.apply(d.__h,d.__k),d.__k=[],d.__h.length&&i.push(d),l=V(n);break e}d.componentWillUpdate&&
d.componentWillUpdate(y,d.__s,k),b&&d.componentDidUpdate&&d.__h.push(function(){d.componentDidUpdate(h,w,v)})}else b&&!I.
getDerivedStateFromProps&&d.componentWillMount&&d.componentWillMount(),b&&d.componentDidMount&&d.__h.push(d.componentDidMount);
d.context=k,d.props=y,d.__P=e,d.__g&=-5,ct=x.__r,Ot=b?25:0;do d.__g&=-9,ct&&ct(t),u=d.render(d.props,d.state=d.__s,d.context);while(8&
d.__g&&++Ot<25);b&&(He.push.apply(d.__h,d.__k),d.__k=[]),d.state=d.__s,d.getChildContext&&(o=oe({},o,d.getChildContext())),
b&&n.__c&&d.getSnapshotBeforeUpdate&&(v=d.getSnapshotBeforeUpdate(h,w)),Ne=u&&u.type===R&&u.key==null?u.props.children:u,
y.__P&&(u=l,a=(e=y.__P).namespaceURI,c=s=null,n.props&&n.props.__P!=e&&(n.__k.some(function(j){j&&gt(j,j)}),n.__k=null),
l=n.__k?V(n,0):null),l=Ht(e,pt(Ne)?Ne:[Ne],t,n,o,a,s,i,l,c,f),y.__P&&(t.__e=null,l=u),t.__u&=-161,p&&p.some(re),d.__h.length&&
i.push(d),1&d.__g&&(d.__g&=-4)}catch(j){if(i.length=m,t.__v=null,c||s)if(j&&j.then){if(t.__u|=128|c,s){for(~(q=s.indexOf(
l||void 0))||(q=s.length);(ne=s[q-1])&&ne.nodeType==8;)q--;for(;q<s.length;q++)if(ne=s[q])if(s[q]=null,te){if(ne==Ft)break}else{
if(ne.nodeType!=8)break;ne.data.startsWith("$s")&&(Ft=Be(te=ne))}}if(!te){for(;l&&l.nodeType==8&&l.nextSibling;)l=l.nextSibling;
te=l}(u=Be(te=t.__c.__z||(t.__c.__z=te)))?(t.__e=te,l=u):t.__e=l,l=l&&l.nextSibling}else s&&s.some(re);else t.__e=n.__e;
t.__k||(t.__k=n.__k||[]),j&&j.then||Wt(t),x.__e(j,t,n)}}else l=t.__e=Hn(n.__e,t,n,o,a,s,i,c,f,e);return(u=x.diffed)&&u(t),
l}function Be(e,t){if(e&&e.nodeType==8&&e.data.startsWith("$s"))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.
startsWith("$s"))n++;else if(e.data.startsWith("/$s")&&!--n)return e}t&&t.push(e)}}function Wt(e){e&&(e.__c&&(e.__c.__g|=
4),e.__k&&e.__k.some(Wt))}function qt(e,t,n){for(var o=0;o<n.length;)ht(n[o++],n[o++],n[o++]);x.__c&&x.__c(t,e),e.some(function(a){
try{e=a.__h,a.__h=[],e.some(function(s){s.call(a)})}catch(s){x.__e(s,a.__v)}})}function Hn(e,t,n,o,a,s,i,l,c,f){var u,p,
m,d,h,w,v,y,b=n.props||ze,M=t.props,k=t.type;if(k=="svg"?a="http://www.w3.org/2000/svg":k=="math"?a="http://www.w3.org/1\
998/Math/MathML":a||(a="http://www.w3.org/1999/xhtml"),s){for(u=0;u<s.length;u++)if((h=s[u])&&(k?h.localName==k:h.nodeType==
3)){e=h,s[u]=null;break}}if(!e){if(y=f.ownerDocument||document,!k)return y.createTextNode(M);e=y.createElementNS(a,k,M.is?
M:f),l&&(x.__m&&x.__m(t,s),l=!1),s=null}if(k){if(f=k=="template"&&e.content||e,s=k=="textarea"&&M.defaultValue!=null?null:
s&&Bt.call(f.childNodes),!l&&s)for(b={},u=0;u<e.attributes.length;u++)b[(h=e.attributes[u]).name]=h.value;for(u in b)h=b[u],
u=="dangerouslySetInnerHTML"?m=h:u=="children"||u in M||u=="value"&&"defaultValue"in M||u=="checked"&&"defaultChecked"in
M||Ae(e,u,null,h,a);for(u in M)h=M[u],u=="children"?d=h:u=="dangerouslySetInnerHTML"?p=h:u=="value"?w=h:u=="checked"?v=h:
l&&typeof h!="function"||b[u]===h||Ae(e,u,h,b[u],a);p?(l||m&&(p.__html==m.__html||p.__html==e.innerHTML)||(e.innerHTML=p.
__html),t.__k=[]):(m&&(e.textContent=""),(k=="foreignObject"||a=="http://www.w3.org/1998/Math/MathML"&&jn.test(k))&&(a="\
http://www.w3.org/1999/xhtml"),Ht(f,pt(d)?d:[d],t,n,o,a,s,i,s?s[0]:n.__k&&V(n,0),l,c),s&&s.some(re)),l&&k!="textarea"||(u=
"value",k=="progress"&&w==null?e.removeAttribute(u):w==null||w===e[u]&&(k!="progress"||w)||Ae(e,u,w,b[u],a),u="checked",
v!=null&&v!=e[u]&&Ae(e,u,v,b[u],a))}else b===M||l&&e.data==M||(e.data=M);return e}function ht(e,t,n,o){try{typeof e=="fu\
nction"?t?t.__x=e(t)||1:o&&(o=o.__c||o.__e)&&(t=o.__x)&&(o.__x=null,typeof t=="function"?t():e(null)):e.current=t}catch(a){
x.__e(a,n)}}function gt(e,t,n){var o,a,s,i;if(x.unmount&&x.unmount(e),!(o=e.ref)||o.current&&o.current!=e.__e||ht(o,null,
t,e),o=e.__c){if(o.componentWillUnmount)try{o.componentWillUnmount()}catch(l){x.__e(l,t)}o.__P=o.__n=null}if(o=e.__k)for(i=
0;i<o.length;i++)o[i]&&gt(o[i],t,typeof e.type!="function"||n&&!e.props.__P);!n&&(o=e.__c)&&(o=o.__z)&&(a=Be(o,s=[]))&&(o==
e.__e&&s.some(re),re(a),re(o)),n||re(e.__e),e.__e=e.__c=e.__=null}function In(e,t,n){return this.constructor(e,n)}function Ut(e,t){
var n,o,a,s;x.__&&x.__(e,t),t.nodeType==9&&(t=t.documentElement),o=(n=e&&32&e.__u)?null:t.__k,t.__k=je(R,{children:[e]}),
a=[],s=[],ft(t,t.__k,o||ze,ze,t.namespaceURI,o?null:t.firstChild?Bt.call(t.childNodes):null,a,o?o.__e:t.firstChild,n,s),
qt(a,t.__k,s),t.__k.props.children=null}x={__e:function(e,t,n,o){for(var a,s,i;t=t.__;)if((a=t.__c)&&!(1&a.__g)){a.__g|=4;try{if((i=(s=a.constructor)&&s.getDerivedStateFromError)&&
a.setState(s.getDerivedStateFromError(e)),a.componentDidCatch&&(a.componentDidCatch(e,o||{}),i=1),i&&8&a.__g)return void(a.
__g|=2)}catch(l){e=l}}throw Xe=0,e}},Dt=0,An=function(e){return e!=null&&e.constructor===ke},Le.prototype.setState=function(e,t){
var n=this.__s;n&&n!=this.state||(n=this.__s=oe({},this.state)),typeof e=="function"&&(e=e(oe({},n),this.props)),e&&(oe(
n,e),this.__v&&(t&&this.__k.push(t),Nt(this)))},Le.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.
push(e),Nt(this))},Le.prototype.render=R,U=[],Xe=0,jt=function(e,t){return e.__v.__b-t.__v.__b},De=Symbol(),Lt=/(PointerCapture)$|Capture$/i,
mt=0,dt={},Dn=0;var Me,J,_t,Vt,vt=Object.is,Ie=0,rn=[],bt=[],C=x,Gt=C.__b,Kt=C.__r,Qt=C.diffed,Yt=C.__c,Zt=C.unmount,en=C.__;function wt(e,t){
C.__h&&C.__h(J,e,Ie||t),Ie=0;var n=J.__H||(J.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function P(e){
return Ie=1,Wn(an,e)}function Wn(e,t,n){var o=wt(Me++,2);if(o.t=e,!o.__c&&(o.__=[n?n(t):an(void 0,t),function(s){var i=(o.
__N||o.__)[0],l=o.t(i,s);vt(i,l)||(o.__N=[l,o.__[1]],o.__c.setState({}))}],o.__c=J,!J.__f)){J.__f=!0;var a=J.shouldComponentUpdate;
J.shouldComponentUpdate=function(s,i,l){var c=this.__H;if(!c)return!0;var f=!1,u=this.props!=s;if(c.__.some(function(m){
m.__N&&(f=!0,vt(m.__[0],m.__N[0])||(u=!0))}),a){var p=a.call(this,s,i,l);return f?p||u:p}return!f||u}}return o.__}function X(e,t){
var n=wt(Me++,3);!C.__s&&on(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,J.__H.__h.push(n))}function me(e){return Ie=5,qn(function(){return{current:e}},[])}function qn(e,t){var n=wt(Me++,7);return on(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function Un(){var e;do{for(;e=bt.shift();)try{Se(e)}catch(n){C.__e(n,{__:(e=e.__P)&&e.__v})}for(;e=rn.shift();){var t=e.
__H;if(e.__P&&t)try{t.__h.some(Se),t.__h.some(yt),t.__h=[]}catch(n){t.__h=[],C.__e(n,e.__v)}}}while(bt.length)}C.__b=function(e){
J=null,Gt&&Gt(e)},C.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),en&&en(e,t)},C.__r=function(e){Kt&&Kt(e),Me=
0;var t=(J=e.__c).__H;t&&(_t==J?J.__h=[]:(t.__h.some(Se),t.__h.some(yt),Me=0),t.__h=[],t.__.some(function(n){n.__N&&(n.__=
n.__N),n.u=n.__N=void 0})),_t=J},C.diffed=function(e){Qt&&Qt(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&nn(rn.push(t)),
t.__H.__.some(function(n){n.u&&(n.__H=n.u)})),_t=J=null},C.__c=function(e,t){t.some(function(n){try{n.__h.some(Se),n.__h=
n.__h.filter(function(o){return!o.__||yt(o)})}catch(o){n.__h=[function(){throw o}]}}),Yt&&Yt(e,t)},C.unmount=function(e){
Zt&&Zt(e);var t,n,o=e.__c;o&&o.__H&&(o.__H.__.some(function(a){try{if(a.__P&&a.__c){if(n===void 0){for(n=e.__;n&&(!n.__c||
!n.__c.__P);)n=n.__;n=n&&n.__c}a.__P=n,nn(bt.push(a))}else Se(a)}catch(s){t=s}}),o.__H=void 0,t&&C.__e(t,o.__v))};var tn=typeof requestAnimationFrame==
"function";function Vn(e){var t,n=function(){clearTimeout(o),tn&&cancelAnimationFrame(t),setTimeout(e)},o=setTimeout(n,35);
tn&&(t=requestAnimationFrame(n))}function nn(e){e!=1&&Vt==C.requestAnimationFrame||((Vt=C.requestAnimationFrame)||Vn)(Un)}
function Se(e){var t=J,n=e.__c;typeof n=="function"&&(e.__c=void 0,n()),J=t}function yt(e){var t=J;e.__c=e.__(),J=t}function on(e,t){
return!e||e.length!=t.length||t.some(function(n,o){return!vt(n,e[o])})}function an(e,t){return typeof t=="function"?t(e):
t}var z=class extends Error{constructor(n,o){super(o.message);this.status=n;this.body=o}status;body},sn=()=>{};function ln(e){
sn=e}async function Te(e,t){let n;try{n=await fetch(e,t)}catch{throw new z(0,{message:"The server does not answer. Is it\
 still running?",param:null,code:"unreachable"})}if(n.ok)return n;n.status===401&&sn();let o=await n.json().catch(()=>null);
throw new z(n.status,o?.error??{message:`The server answered ${n.status}.`,param:null,code:""})}async function xt(e){if(e.
status!==204)return JSON.parse((await e.text()).replace(/"seed":\s*(\d{16,})/g,'"seed":"$1"'))}function Gn(e){let t=We();
return JSON.stringify(e,(o,a)=>typeof a=="bigint"?`${t}${a}`:a).replace(new RegExp(`"${t}(\\d+)"`,"g"),"$1")}async function ae(e){
return await xt(await Te(e))}async function G(e){return(await ae(e)).data}async function pe(e,t,n={}){let o=await Te(e,{
method:"POST",headers:{"Content-Type":"application/json",...n},body:Gn(t)});return await xt(o)}async function cn(e,t){await Te(
e,{method:"PATCH",headers:{"Content-Type":"application/json"},body:JSON.stringify(t)})}async function kt(e){await Te(e,{
method:"DELETE",keepalive:!0})}async function un(e){let t=await Te("/api/images/read",{method:"POST",body:e});return await xt(
t)}function We(){return Array.from(crypto.getRandomValues(new Uint8Array(16)),e=>e.toString(16).padStart(2,"0")).join("")}var Kn=Symbol.for("pv"),Qn=0;function r(e,t,n,o,a,s){t||(t={});var i,l,c=t;if("ref"in c&&typeof e!="function")for(l in c={},t)l=="ref"?i=t[l]:c[l]=t[l];
var f={type:e,props:c,key:n,ref:i,__k:null,__:null,__b:0,__e:null,__c:null,constructor:Kn,__v:--Qn,__i:-1,__u:0};return(a||
s)&&(f.__source=a,f.__self=s),x.vnode&&x.vnode(f),f}var Yn={star:"M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z",trash:"M4 7h16M9 7V4.5h6V7m-8.5\
 0 .8 12.5h9.4L17.5 7M10 11v5m4-5v5",download:"M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",close:"M6 6l12 12M18 6 6 18",dice:"\
M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",copy:"M9 9h11v11H9zM15 9V4H4v11h5",sun:"M12 8a4 4 0 1 0 0 8\
 4 4 0 0 0 0-8zM12 2.5v2m0 15v2M2.5 12h2m15 0h2M5.3 5.3l1.4 1.4m10.6 10.6 1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",moon:"\
M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",auto:"M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",help:"M9 9.2a3 3 0 1 1 4\
.3 2.7c-.9.5-1.3 1-1.3 2.1M12 17.5h.01",open:"M4 7.5V18h16V9.5h-8.5L9.5 7.5z",back:"M14.5 5.5 8 12l6.5 6.5",next:"M9.5 5\
.5 16 12l-6.5 6.5",plus:"M12 5v14M5 12h14",code:"M9 7l-5 5 5 5M15 7l5 5-5 5"};function $({name:e,filled:t=!1}){return r(
"svg",{class:"icon",viewBox:"0 0 24 24",width:"20",height:"20","aria-hidden":"true",focusable:"false",fill:t?"currentCol\
or":"none",stroke:"currentColor","stroke-width":"1.8","stroke-linecap":"round","stroke-linejoin":"round",children:r("pat\
h",{d:Yn[e]})})}function F(e){let t=e.trim();return t===""||t==="none"||t==="default"?[]:t.split("+").map(n=>{let[o="",...a]=n.split(":"),
s={};for(let i of a.join(":").split(",")){let[l="",...c]=i.split("=");l.trim()!==""&&(s[l.trim()]=c.join("=").trim())}return{
name:o.trim(),values:s}})}function se(e){return e.length===0?"none":e.map(t=>{let n=Object.entries(t.values).filter(([,o])=>o!==
"").map(([o,a])=>`${o}=${a}`);return n.length>0?`${t.name}:${n.join(",")}`:t.name}).join("+")}function fe(e,t){let n=e?.
rules.find(o=>o.name===t);return n?F(n.text)[0]??null:null}function he(e){return e.kind==="number"||e.kind==="integer"}function dn(e){
let t=10**Math.floor(Math.log10(e));return t*([1,2,5,10].find(n=>n*t>=e*.999)??10)}function qe(e,t,n){let o=[Number(t.default),
...n.map(c=>Number(fe(c,e.name)?.values[t.name]))],a=Math.max(...o.filter(Number.isFinite),.5),s=t.minimum??-a*2,i=t.maximum??
Math.max(dn(a*2),s+1),l=t.kind==="integer"?1:Math.min(dn((i-s)/200),.5);return{min:s,max:i,step:l}}function Ce(e){return String(
Number(e.toPrecision(6)))}var T=class{constructor(t){this.current=t}current;watchers=new Set;get value(){return this.current}set(t){if(t!==this.current){
this.current=t;for(let n of[...this.watchers])n()}}change(t){this.set({...this.current,...t})}watch(t){return this.watchers.
add(t),()=>this.watchers.delete(t)}};function _(e){let[,t]=P({});return X(()=>e.watch(()=>t({})),[e]),e.value}function K(e){
try{return JSON.parse(localStorage.getItem(`attune.${e}`)??"null")}catch{return null}}function ie(e,t){try{localStorage.
setItem(`attune.${e}`,JSON.stringify(t))}catch{}}var S=new T(null),Ge=new T(null);async function Ye(){try{let[e,t,n,o,a]=await Promise.all([G("/api/models"),G("/api/guid\
ance"),G("/api/presets"),G("/api/options"),ae("/api/status")]);Ge.set(null),S.set({models:e,rules:t,families:n,options:o,
status:a});let[s]=Tt(A(g.value.model));if(!er&&s&&g.change({prompt:s[0],negative:s[1],seed:String(s[2])}),fn(),await Promise.
all([ye(),Y()]),hn(),E.value===null){let i=H.value[0];i&&E.set({kind:"set",id:i.id})}}catch(e){Ge.set(B(e))}}function B(e){
return e instanceof Error?e.message:String(e)}var mn={scenes:[["a panda on a blue background","sunglasses",6],["a lion o\
n a blue background","crown",7],["a fox on a green background","hat",6]],other:[["a red fox in fresh snow at sunrise, ph\
otograph","blurry, text",7],["a small wooden house by a lake, watercolour","people",5]]};function Tt(e){return e?.attune.
family?.startsWith("scenes")?mn.scenes:mn.other}var Zn={mode:"compare",prompt:"",negative:"",model:"",guidance:"default",
rules:[],size:"",steps:"",seed:"7",newSeed:!0,count:4,scheduler:"",more:{},trace:!0,grid:{parameter:"",from:"",to:"",count:4},
picture:null},er=K("form")!==null,g=new T({...Zn,...K("form"),picture:null});g.watch(()=>{ie("form",{...g.value,picture:null}),
fn()});function A(e){let t=S.value?.models??[];return t.find(n=>n.id===(e||S.value?.status.default_model))??t[0]}function Ze(e){
return S.value?.families.find(t=>t.family===e?.attune.family)}function pn(e){let t={prompt:e.prompt,guidance:et(e),preview:!0};
e.negative.trim()!==""&&(t.negative_prompt=e.negative),e.model!==""&&(t.model=e.model),e.size!==""&&(t.size=e.size),e.steps!==
""&&(t.steps=Number(e.steps)),e.seed!==""&&(t.seed=BigInt(e.seed)),e.scheduler!==""&&(t.scheduler=e.scheduler),e.trace&&
(t.trace=!0);let n=tt(A(e.model));for(let o of n){let a=e.more[o.key];a===void 0||a===""||(t[o.key]=o.kind==="flag"?a===
"true":o.kind==="integer"||o.kind==="number"?Number(a):a)}return e.picture&&(t.images=[{image_url:e.picture.data}]),t}function et(e){
return e.guidance==="own"?se(e.rules):e.guidance}var tr=new Set(["prompt","negative_prompt","steps","seed","width","heig\
ht","count","guidance","scheduler"]);function tt(e){let t=new Set(e?.attune.takes??[]);return(S.value?.options??[]).filter(
n=>!tr.has(n.key)&&(n.takes===void 0||t.has(n.takes)))}function Re(e){return Ze(A(e.model))?.guidance??"none"}function nt(e){
let[t,n]=[Number(e.from),Number(e.to)];if(e.from===""||e.to===""||!Number.isFinite(t)||!Number.isFinite(n))return[];let o=e.
parameter==="steps"||e.parameter.endsWith(".norm"),a=Array.from({length:e.count},(s,i)=>t+(n-t)*i/Math.max(e.count-1,1));
return[...new Set(a.map(s=>String(o?Math.round(s):Number(s.toPrecision(3)))))]}function nr(e,t,n){if(!t.includes("."))return{
...e,[t]:Number(n)};let[o,a]=t.split("."),s=F(String(e.guidance)).map(i=>i.name===o?{...i,values:{...i.values,[a]:n}}:i);
return{...e,guidance:se(s)}}var L=new T({answer:null,error:null}),Ue=0;async function fn(){let e=++Ue;if(await new Promise(
t=>setTimeout(t,250)),!(e!==Ue||S.value===null))try{let t=await pe("/api/check",pn(g.value));e===Ue&&L.set({answer:t,error:null})}catch(t){
e===Ue&&t instanceof z&&t.status!==401&&L.set({answer:null,error:t.body})}}var rr=24,H=new T(K("sets")??[]);function or(e){
H.set([e,...H.value].slice(0,rr)),ie("sets",H.value)}var E=new T(null);E.watch(()=>{let e=E.value?.kind==="picture"?`#pi\
cture=${E.value.id}`:"";location.hash!==e&&history.replaceState(null,"",e===""?location.pathname:e)});function hn(){let e=/^#picture=([0-9a-z]{26})$/.
exec(location.hash)?.[1];e!==void 0&&ce(e)}addEventListener("hashchange",hn);async function ce(e){if(!Z(e))try{be([await ae(
`/api/images/${e}`)])}catch(t){N(B(t));return}E.set({kind:"picture",id:e})}var Pe=new T(!1),_e=new T(null);async function ar(e){
let t={"Idempotency-Key":We()};for(let n=0;;n++)try{let o=await pe("/api/jobs",e,t);return ot(o),o}catch(o){if(n>=2||!(o instanceof
z)||o.status!==0)throw o;await new Promise(a=>setTimeout(a,500))}}async function ue(e=g.value){if(Pe.value)return;Pe.set(
!0),_e.set(null);let t=[];try{e.seed===""&&(e={...e,seed:Ke()});let n=await sr(e,t);or(n),E.set({kind:"set",id:n.id}),g.
value.newSeed&&g.change({seed:Ke()}),document.querySelector("#stage")?.scrollIntoView({block:"nearest"})}catch(n){for(let o of t)
we(o.id);_e.set(n instanceof z?n.body:{message:B(n),param:null,code:""})}finally{Pe.set(!1),ye()}}async function sr(e,t){
let n=pn(e),o=BigInt(e.seed),a={id:We(),kind:e.mode,prompt:String(n.prompt),cells:[],columns:[],rows:[],axis:""},s=async l=>{
let c=await ar(l);return t.push(c),c},i=e.mode==="compare"||e.mode==="grid"?await ir(e,n):"none";if(e.mode==="compare"){
let l={...n,guidance:Re(e)};l.guidance==="none"&&delete l.negative_prompt;let c=await s(l),f=await s(n),u=F(i).map(p=>p.
name.toUpperCase());a.cells=[{job:c.id,index:0,label:l.guidance==="none"?"Without guidance":`With ${l.guidance} alone`},
{job:f.id,index:0,label:u.length>0?`With ${u.join(" + ")}`:"As asked"}]}else if(e.mode==="grid"){let l=nt(e.grid),c=Math.
max(e.count,1);a.axis=e.grid.parameter,a.columns=l,a.rows=Array.from({length:c},(u,p)=>`seed ${o+BigInt(p)}`);let f=[];for(let u of l)
f.push(await s(nr({...n,n:c,guidance:i},e.grid.parameter,u)));for(let u=0;u<c;u++)for(let[p,m]of f.entries())a.cells.push(
{job:m.id,index:u,label:`${e.grid.parameter} ${l[p]}, seed ${o+BigInt(u)}`})}else{let l=e.mode==="seeds"?e.count:1,c=await s(
{...n,n:l});a.cells=Array.from({length:l},(f,u)=>({job:c.id,index:u,label:`seed ${o+BigInt(u)}`}))}return a}async function ir(e,t){
if(e.guidance!=="default")return et(e);let{guidance:n}=await pe("/api/check",t),o=Ze(A(e.model));return n??(e.negative.trim()===
""?o?.guidance:o?.negative_guidance)??"none"}function Ke(){return String(crypto.getRandomValues(new Uint32Array(1))[0])}
var O=new T(new Map),W=new T(new Map),rt=new T(""),Ve=new Map,Q=e=>e.status==="queued"||e.status==="running";function ve(e){
return[...e.values()].filter(Q).sort((t,n)=>(t.position??-1)-(n.position??-1)||t.created-n.created)}function ot(...e){let t=new Map(
O.value);for(let n of e)t.set(n.id,n);O.set(t),be(e.flatMap(n=>n.images))}async function ye(){try{let e=await G("/api/jo\
bs?limit=100"),t=[...O.value.values()].filter(i=>Q(i)&&!e.some(l=>l.id===i.id)),o=((E.value?.kind==="set"?H.value.find(i=>i.
id===E.value.id):H.value[0])?.cells??[]).map(i=>i.job).filter(i=>!O.value.has(i)&&!e.some(l=>l.id===i)),a=await Promise.
all([...new Set([...t.map(i=>i.id),...o])].map(gn)),s=[...O.value.values()].filter(Q).length;ot(...e,...a.filter(i=>i!==
null)),s>0&&ve(O.value).length===0&&Y(),lr()}catch{}}async function gn(e){try{return await ae(`/api/jobs/${e}`)}catch{return O.
value.has(e)?{...O.value.get(e),status:"cancelled"}:null}}async function ge(e){let t=await gn(e);t&&ot(t)}function lr(){
let e=ve(O.value).filter(n=>n.status==="running").slice(0,2),t=ve(O.value)[0];for(let n of e.length>0?e:t?[t]:[])Ve.has(
n.id)||cr(n.id)}function cr(e){let t=new EventSource(`/api/jobs/${e}/events`);Ve.set(e,t);let n=(a,s)=>t.addEventListener(
a,i=>s(JSON.parse(i.data))),o=()=>{t.close(),Ve.delete(e),ge(e).then(()=>{ur(e),dr(e),Y(),ye()})};n("started",({image:a})=>{
let s=O.value.get(e);s&&ot({...s,status:"running"}),St(e,{image:a,index:0,count:0,preview:null})}),n("step",a=>St(e,{image:a.
image,index:a.index,count:a.count,preview:W.value.get(e)?.preview??null})),n("preview",a=>St(e,{image:a.image,index:a.index,
count:a.count,preview:`data:image/png;base64,${a.b64_json}`})),n("image",()=>{ge(e)});for(let a of["completed","cancelle\
d","failed"])n(a,o);t.addEventListener("error",()=>{t.readyState===EventSource.CLOSED&&(Ve.delete(e),ge(e))})}function St(e,t){
W.set(new Map(W.value).set(e,t))}function ur(e){let t=new Map(W.value);t.delete(e),W.set(t)}function dr(e){let t=O.value.
get(e);if(!t)return;let n=t.count===1?"The picture":`${t.images.length} of ${t.count} pictures`;rt.set(t.status==="compl\
eted"?`${n} made: ${String(t.request.prompt)}`:t.status==="failed"?`Failed: ${t.error?.message??""}`:"Cancelled.")}async function we(e){
try{await kt(`/api/jobs/${e}`)}catch(t){N(B(t))}await ge(e),ye()}var mr=1500;setInterval(()=>{document.visibilityState===
"visible"&&S.value&&ve(O.value).length>0&&ye()},mr);document.addEventListener("visibilitychange",()=>{document.visibilityState===
"visible"&&S.value&&Promise.all([ye(),Y()])});var Qe=48,D=new T({ids:[],more:!1,starred:!1}),le=new T(new Map),Mt=new Set;
function Z(e){return le.value.get(e)}function be(e){if(e.length===0)return;let t=new Map(le.value);for(let n of e)t.set(
n.id,n);le.set(t)}async function Y(){let{starred:e}=D.value;try{let t=await G(`/api/images?limit=${Qe}&starred=${e}`);if(D.
value.starred!==e)return;be(t),D.set({ids:t.map(n=>n.id).filter(n=>!Mt.has(n)),more:t.length===Qe,starred:e})}catch(t){N(
B(t))}}async function _n(){let{ids:e,starred:t}=D.value,n=await G(`/api/images?limit=${Qe}&starred=${t}&before=${e.at(-1)??
""}`);be(n),D.change({ids:[...e,...n.map(o=>o.id)],more:n.length===Qe})}async function at(e){be([{...e,starred:!e.starred}]);
try{await cn(`/api/images/${e.id}`,{starred:!e.starred})}catch(t){be([e]),N(B(t))}}function vn(e){Mt.add(e.id);let{ids:t}=D.
value,n=t[t.indexOf(e.id)+1]??t[t.indexOf(e.id)-1];D.change({ids:t.filter(o=>o!==e.id)}),E.value?.kind==="picture"&&E.value.
id===e.id&&E.set(n?{kind:"picture",id:n}:null),N("The picture is deleted.",{label:"Undo",act:()=>{Mt.delete(e.id),Y()},otherwise:()=>{
kt(`/api/images/${e.id}`).then(Y,o=>N(B(o)))}})}function xe(e,t=!0){let n=c=>e[c]===void 0||e[c]===null?"":String(e[c]),
o=n("guidance"),a=F(o),s=S.value?.models.find(c=>c.id===n("model"))?.id??"",i=n("width")!==""&&n("height")!==""?`${n("wi\
dth")}x${n("height")}`:"",l={};for(let c of tt(A(s)))n(c.key)!==""&&(l[c.key]=n(c.key));g.change({mode:"picture",prompt:n(
"prompt"),negative:n("negative_prompt"),model:s,guidance:o===""||o==="default"?"default":a.length===0?"none":"own",rules:a,
more:l,size:i===A(s)?.attune.default_size?"":i,steps:n("steps"),scheduler:n("scheduler"),...t?{seed:n("seed"),newSeed:!1}:
{}}),_e.set(null)}var pr=e=>(e?.attune.takes??[]).some(t=>t==="image"||t==="references");async function Je(e){try{let{parameters:t}=await un(
e);t?(xe(t),N(`The settings of ${e.name} are recalled.`),rt.set("Settings recalled.")):pr(A(g.value.model))?(await Ct(e),
N(`${e.name} says nothing of how it was made; the next picture begins with it.`)):N(`${e.name} says nothing of how it wa\
s made.`)}catch(t){N(B(t))}}async function Ct(e){let t=await new Promise((n,o)=>{let a=new FileReader;a.onload=()=>n(String(
a.result)),a.onerror=()=>o(new Error(`${e.name} cannot be read.`)),a.readAsDataURL(e)});g.change({picture:{name:e.name,data:t}})}
var $e=new T(null),bn=0;function N(e,t){Ee(!1),$e.set({text:e,...t}),bn=window.setTimeout(()=>Ee(!1),t?7e3:4500)}function Ee(e){
clearTimeout(bn);let t=$e.value;$e.set(null),e?t?.act?.():t?.otherwise?.()}addEventListener("pagehide",()=>Ee(!1));function yn(){let e=_(g),t=_(S),{answer:n}=_(L),o=Ze(A(e.model)),a=()=>{let i=F(n?.guidance??"none");if(i.length>0)return i;
let l=o?.rules[0]?.name??"nag";return[fe(o,l)??Pt(t.rules.find(c=>c.name===l))]},s=i=>g.change(i==="own"?{guidance:i,rules:e.
guidance==="own"?e.rules:a()}:{guidance:i});return r("fieldset",{class:"card guidance",children:[r("legend",{children:"G\
uidance"}),r("div",{class:"segments",role:"group","aria-label":"Which guidance",children:[r(ee,{name:"guidance",value:"d\
efault",chosen:e.guidance,choose:s,text:"Automatic"}),r(ee,{name:"guidance",value:"none",chosen:e.guidance,choose:s,text:"\
None"}),r(ee,{name:"guidance",value:"own",chosen:e.guidance,choose:s,text:"My own"})]}),e.guidance==="default"&&r(fr,{text:n?.
guidance,rules:t.rules,adjust:()=>s("own")}),e.guidance==="none"&&r("p",{class:"hint",children:"The plain model. Nothing\
 reads the negative prompt."}),e.guidance==="own"&&r(hr,{asked:e,rules:t.rules,families:t.families,family:o})]})}function ee({
name:e,value:t,chosen:n,choose:o,text:a}){return r("label",{children:[r("input",{type:"radio",name:e,value:t,checked:n===
t,onChange:()=>o(t)}),r("span",{children:a})]})}function fr({text:e,rules:t,adjust:n}){let o=F(e??"none");return o.length===
0?r("p",{class:"hint",children:"What is published for this model: none without a negative prompt. Write one, and a rule \
that reads it turns on."}):r("div",{class:"resolved",children:[o.map(a=>{let s=t.find(l=>l.name===a.name),i=Object.entries(
a.values).filter(([l])=>s?.parameters.some(c=>c.name===l&&he(c)));return r("p",{children:[r("strong",{children:s?.title??
a.name})," ",i.map(([l,c])=>r("code",{children:[l," ",c]},l))]},a.name)}),r("p",{class:"hint",children:"The published va\
lues for this model."}),r("button",{type:"button",class:"small",onClick:n,children:"Adjust"})]})}function Pt(e){return e?
F(e.text)[0]??{name:e.name,values:{}}:{name:"nag",values:{}}}function hr({asked:e,rules:t,families:n,family:o}){let a=c=>g.
change({rules:c}),s=t.filter(c=>!e.rules.some(f=>f.name===c.name)),i=c=>o?.rules.some(f=>f.name===c.name)??!1,l=c=>{let f=t.
find(u=>u.name===c);f&&a([...e.rules,fe(o,c)??Pt(f)])};return r(R,{children:[e.rules.map((c,f)=>{let u=t.find(p=>p.name===
c.name);return u&&r(_r,{rule:u,chosen:c,families:n,family:o,change:p=>a(e.rules.map((m,d)=>d===f?p:m)),remove:()=>a(e.rules.
filter((p,m)=>m!==f))},c.name)}),r("label",{class:"add",children:[r("span",{class:"name",children:"Add a rule"}),r("sele\
ct",{value:"",onChange:c=>{l(c.currentTarget.value),c.currentTarget.value=""},children:[r("option",{value:"",children:"C\
hoose…"}),[["Published for this model",s.filter(i)],["Others",s.filter(c=>!i(c))]].map(([c,f])=>f.length>0&&r("optgrou\
p",{label:c,children:f.map(u=>r("option",{value:u.name,children:u.title??u.name},u.name))},c))]})]}),r(gr,{asked:e,set:a})]})}
function gr({asked:e,set:t}){let[n,o]=P(null),{error:a}=_(L);return r("label",{children:[r("span",{class:"name",children:"\
As text, as on the command line"}),r("input",{type:"text",class:"mono",spellcheck:!1,autocomplete:"off",value:n??se(e.rules),
"aria-invalid":a?.param==="guidance",onFocus:()=>o(et(e)),onInput:s=>{o(s.currentTarget.value),t(F(s.currentTarget.value))},
onBlur:()=>o(null)})]})}function _r({rule:e,chosen:t,families:n,family:o,change:a,remove:s}){let i=(m,d)=>a({...t,values:{
...t.values,[m]:d}}),l=n.filter(m=>m.rules.some(d=>d.name===e.name)),c=fe(o,e.name)??Pt(e),[f,u]=P(""),p=n.find(m=>m.family===
f)?.rules.find(m=>m.name===e.name)??o?.rules.find(m=>m.name===e.name);return r("section",{class:"rule","aria-label":e.title??
e.name,children:[r("header",{children:[r("h2",{children:e.title??e.name}),r("button",{type:"button",class:"plain","aria-\
label":`Remove ${e.name}`,title:"Remove",onClick:s,children:r($,{name:"close"})})]}),r("p",{class:"hint",children:e.about}),
e.more_passes>0&&r("p",{class:"hint",children:["Costs ",e.more_passes===1?"one more pass":`${e.more_passes} more passes`,
" a step."]}),e.parameters.filter(he).map(m=>r(vr,{rule:e,parameter:m,families:n,value:t.values[m.name]??m.default,plain:c.
values[m.name]??m.default,set:d=>i(m.name,d)},m.name)),r("details",{children:[r("summary",{children:["More of ",e.name]}),
e.parameters.filter(m=>!he(m)).map(m=>r("label",{children:[r("span",{class:"name",children:m.name}),m.kind==="choice"?r(
"select",{value:t.values[m.name]??m.default,onChange:d=>i(m.name,d.currentTarget.value),children:m.choices.map(d=>r("opt\
ion",{value:d,children:d},d))}):r("input",{type:"text",class:"mono",value:t.values[m.name]??"",placeholder:m.default,onInput:d=>i(
m.name,d.currentTarget.value)}),r("span",{class:"hint",children:m.about})]},m.name)),r("label",{children:[r("span",{class:"\
name",children:"Values published for"}),r("select",{value:f,onChange:m=>{u(m.currentTarget.value);let d=fe(n.find(h=>h.family===
m.currentTarget.value),e.name);d&&a(d)},children:[r("option",{value:"",children:p&&f===""?"this model":"Choose a model…"}),
l.map(m=>r("option",{value:m.family,children:m.title},m.family))]}),p&&r("span",{class:"hint",children:[p.origin,": ",p.
source]})]})]})]})}function vr({rule:e,parameter:t,families:n,value:o,plain:a,set:s}){let{min:i,max:l,step:c}=qe(e,t,n),
f=Number(o),u=Number.isFinite(f)?f:o.startsWith("inf")?l:i,p=`${e.name}-${t.name}`,m=Math.min(Math.max((u-i)/(l-i),0),1);
return r("div",{class:"slider",children:[r("label",{for:p,class:"name",children:t.name}),o!==a&&r("button",{type:"button",
class:"reset",onClick:()=>s(a),"aria-label":`Set ${t.name} back to ${a}`,children:["back to ",a]}),r("input",{type:"text",
inputmode:"decimal",class:"number","aria-label":`${t.name}, ${t.range??"any number"}`,value:o,onChange:d=>s(d.currentTarget.
value.trim()||a)}),r("input",{type:"range",id:p,min:i,max:l,step:c,value:u,style:{"--part":m},"aria-describedby":`${p}-a\
bout`,"aria-valuetext":o,onInput:d=>s(Ce(d.currentTarget.valueAsNumber))}),r("p",{class:"hint",id:`${p}-about`,children:[
t.about," ",r("span",{class:"range",children:t.range})]})]})}function wn(){let e=_(g),t=A(e.model),{answer:n,error:o}=_(L),a=_(_e),s=n&&n.reads_negative===!1&&e.negative.trim()!=="";
return r("form",{class:"composer","aria-label":"What to make",onSubmit:i=>{i.preventDefault(),ue()},children:[r("div",{class:"\
card words",children:[r("label",{children:[r("span",{class:"name",children:"Prompt"}),r("textarea",{id:"prompt",rows:2,value:e.
prompt,placeholder:"What the picture shows",required:!0,"aria-invalid":(a??o)?.param==="prompt",onInput:i=>g.change({prompt:i.
currentTarget.value})})]}),r("label",{class:"negative",children:[r("span",{class:"name",children:"Not in the picture"}),
r("textarea",{id:"negative",rows:1,value:e.negative,placeholder:"The negative prompt","aria-describedby":"negative-help",
onInput:i=>g.change({negative:i.currentTarget.value})})]}),r("p",{id:"negative-help",class:s?"warning":"hint",role:"stat\
us",children:s?"Nobody reads the negative prompt: the guidance has no rule that does. Choose Automatic, or add nag.":e.negative.
trim()===""?"Works in few steps too: guidance in attention reads it.":""}),r("p",{class:"examples",children:[r("span",{class:"\
hint",children:"Try"}),Tt(t).map(([i,l,c])=>r("button",{type:"button",class:"chip",onClick:()=>g.change({prompt:i,negative:l,
seed:String(c)}),children:[i," ",r("span",{class:"not",children:["not ",l]})]},i))]})]}),r(wr,{asked:e}),r(yn,{}),r(Mr,{
asked:e}),r(Tr,{asked:e}),r("div",{class:"go",children:[r(yr,{}),r("button",{type:"submit",class:"primary",disabled:_(Pe),
"aria-keyshortcuts":"Control+Enter",children:[br(e)," ",r("kbd",{"aria-hidden":"true",children:"Ctrl ⏎"})]})]})]})}function br(e){
let t=e.mode==="grid"?nt(e.grid).length*e.count:e.count;return{picture:"Make the picture",compare:"Make both pictures",seeds:`\
Make ${t} pictures`,grid:`Make ${t} pictures`}[e.mode]}function yr(){let{answer:e,error:t}=_(L),n=_(_e)??t,o=e?.seconds??
0,a=(e?.warnings??[]).filter(s=>!s.startsWith("No guidance rule reads"));return r("div",{class:"warnings",children:[r("d\
iv",{role:"alert",children:n&&r("p",{class:"error",children:n.message})}),r("div",{role:"status",children:[a.map(s=>r("p",
{class:"warning",children:s},s)),!n&&e&&e.size&&r("p",{class:"hint",children:[e.size.replace("x"," × "),", ",e.steps," \
steps",o>=5?`, about ${Math.round(o)} s`:""]})]})]})}function wr({asked:e}){let t=i=>{let l=i==="grid"&&e.grid.parameter===
""?kn(xn(e)[0]?.key??"steps",e):e.grid;g.change({mode:i,grid:l,count:i==="grid"?Math.min(e.count,2):e.count})},n=Re(e),{
answer:o}=_(L),a=F(o?.guidance??""),s=o?.guidance!==void 0&&se(a.map(({name:i})=>({name:i,values:{}})))===n;return r("fi\
eldset",{class:"card",children:[r("legend",{children:"Make"}),r("div",{class:"segments four",role:"group","aria-label":"\
What to make",children:[r(ee,{name:"mode",value:"compare",chosen:e.mode,choose:t,text:"Compare"}),r(ee,{name:"mode",value:"\
picture",chosen:e.mode,choose:t,text:"Picture"}),r(ee,{name:"mode",value:"seeds",chosen:e.mode,choose:t,text:"Seeds"}),r(
ee,{name:"mode",value:"grid",chosen:e.mode,choose:t,text:"Grid"})]}),e.mode==="compare"&&r("p",{class:s?"warning":"hint",
children:s?"Both pictures would be the same: say what must not be in the picture, or add a rule.":`The same seed twice: ${n===
"none"?"without guidance":`with ${n} alone`}, and as you ask.`}),e.mode==="seeds"&&r(xr,{asked:e,text:"Pictures",most:10,
about:"Seeds that follow one another."}),e.mode==="grid"&&r(kr,{asked:e})]})}function xr({asked:e,text:t,most:n,about:o}){
return r("label",{class:"line",children:[r("span",{class:"name",children:t}),r("input",{type:"number",class:"number",min:1,
max:n,value:e.count,onChange:a=>g.change({count:Math.min(Math.max(Math.round(a.currentTarget.valueAsNumber)||1,1),n)})}),
r("span",{class:"hint",children:o})]})}function xn(e){let t=e.guidance==="own"?e.rules:F(L.value.answer?.guidance??"none"),
n=S.value?.rules??[];return[...t.flatMap(o=>(n.find(a=>a.name===o.name)?.parameters??[]).filter(he).map(a=>({key:`${o.name}\
.${a.name}`,text:`${o.name}: ${a.name}`}))),{key:"steps",text:"steps"},...A(e.model)?.attune.takes.includes("guidance_sc\
ale")?[{key:"guidance_scale",text:"embedded guidance"}]:[]]}function kn(e,t){let n=A(t.model),[o,a]=e.split("."),s=S.value?.
rules.find(m=>m.name===o),i=s?.parameters.find(m=>m.name===a);if(!s||!i){let m=n?.attune.default_steps??4;return{parameter:e,
from:"1",to:e==="steps"?String(m*2):"7",count:4}}let{min:l,max:c}=qe(s,i,S.value?.families??[]),f=t.guidance==="own"?t.rules:
F(L.value.answer?.guidance??"none"),u=Number(f.find(m=>m.name===o)?.values[i.name]??i.default),p=i.maximum===void 0&&u>0?
Math.min(u*2,c):c;return{parameter:e,from:Ce(l),to:Ce(p),count:i.kind==="integer"?Math.min(c-l+1,4):4}}function kr({asked:e}){
_(L);let{grid:t}=e,n=xn(e),o=s=>g.change({grid:{...t,...s}}),a=(s,i)=>r("label",{children:[r("span",{class:"name",children:i}),
r("input",{type:"text",inputmode:"decimal",class:"number",value:t[s],onChange:l=>o({[s]:l.currentTarget.value})})]});return r(
R,{children:[r("label",{children:[r("span",{class:"name",children:"Over"}),r("select",{value:t.parameter,onChange:s=>g.change(
{grid:kn(s.currentTarget.value,e)}),children:[n.every(s=>s.key!==t.parameter)&&r("option",{value:t.parameter,children:[t.
parameter," (does not act now)"]}),n.map(s=>r("option",{value:s.key,children:s.text},s.key))]})]}),r("div",{class:"field\
s",children:[a("from","From"),a("to","To"),r("label",{children:[r("span",{class:"name",children:"Values"}),r("input",{type:"\
number",class:"number",min:2,max:8,value:t.count,onChange:s=>o({count:Math.min(Math.max(Math.round(s.currentTarget.valueAsNumber)||
2,2),8)})})]}),r("label",{children:[r("span",{class:"name",children:"Seeds"}),r("input",{type:"number",class:"number",min:1,
max:6,value:e.count,onChange:s=>g.change({count:Math.min(Math.max(Math.round(s.currentTarget.valueAsNumber)||1,1),6)})})]})]}),
r("p",{class:"hint",children:nt(t).join(", ")})]})}function Sr(e){let[t=512,n=512]=(e?.attune.default_size??"").split("x").
map(Number),o=e?.attune.size_multiple??16,a=t*n,s=i=>Math.max(Math.round(i/o),1)*o;return[[1,1],[4,3],[3,4],[3,2],[2,3],
[16,9],[9,16]].map(([i,l])=>`${s(Math.sqrt(a*i/l))}x${s(Math.sqrt(a*l/i))}`).filter((i,l,c)=>c.indexOf(i)===l)}function Mr({
asked:e}){let t=A(e.model),n=t?.attune.default_size??"",o=[...new Set([n,...Sr(t),...e.size!==""?[e.size]:[]])];return r(
"fieldset",{class:"card",children:[r("legend",{children:"Picture"}),r("div",{class:"fields",children:[r("label",{children:[
r("span",{class:"name",children:"Size"}),r("select",{value:e.size===""?n:e.size,onChange:a=>g.change({size:a.currentTarget.
value===n?"":a.currentTarget.value}),children:o.map(a=>r("option",{value:a,children:[a.replace("x"," × "),a===n?" (the \
model's)":""]},a))})]}),r("label",{children:[r("span",{class:"name",children:"Steps"}),r("input",{type:"number",class:"n\
umber",min:1,max:t?.attune.max_steps,value:e.steps,placeholder:String(t?.attune.default_steps??""),onInput:a=>g.change({
steps:a.currentTarget.value})})]})]}),r("div",{class:"seed",children:[r("label",{children:[r("span",{class:"name",children:"\
Seed"}),r("input",{type:"text",inputmode:"numeric",pattern:"[0-9]*",value:e.seed,placeholder:"by chance",onInput:a=>g.change(
{seed:a.currentTarget.value.replace(/\D/g,"").slice(0,18)})})]}),r("button",{type:"button",class:"plain",title:"Another \
seed","aria-label":"Another seed",onClick:()=>g.change({seed:Ke()}),children:r($,{name:"dice"})}),r("label",{class:"chec\
k",children:[r("input",{type:"checkbox",checked:e.newSeed,onChange:a=>g.change({newSeed:a.currentTarget.checked})}),r("s\
pan",{children:"another one each time"})]})]})]})}function Tr({asked:e}){let t=A(e.model),n=S.value,o=t?.attune.takes.some(
a=>a==="image"||a==="references");return r("details",{class:"card more",children:[r("summary",{children:"More"}),n.models.
length>1&&r("label",{children:[r("span",{class:"name",children:"Model"}),r("select",{value:t?.id,onChange:a=>g.change({model:a.
currentTarget.value,size:"",steps:""}),children:n.models.map(a=>r("option",{value:a.id,children:a.id},a.id))})]}),o&&r("\
div",{class:"begin",children:[r("label",{children:[r("span",{class:"name",children:"Begin with a picture"}),r("input",{type:"\
file",accept:"image/*",onChange:a=>{let s=a.currentTarget.files?.[0];s&&Ct(s)}})]}),e.picture&&r("p",{children:[r("img",
{src:e.picture.data,alt:e.picture.name,width:64}),r("button",{type:"button",class:"small",onClick:()=>g.change({picture:null}),
children:["Without ",e.picture.name]})]})]}),r("label",{class:"check",children:[r("input",{type:"checkbox",checked:e.trace,
onChange:a=>g.change({trace:a.currentTarget.checked})}),r("span",{children:"Record what guidance does"})]}),r("p",{class:"\
hint",children:"Measures every attention layer in every step; the picture stays the same. Takes some time with large mod\
els."}),r("label",{children:[r("span",{class:"name",children:"Scheduler"}),r("input",{type:"text",class:"mono",value:e.scheduler,
placeholder:t?.attune.scheduler,spellcheck:!1,onChange:a=>g.change({scheduler:a.currentTarget.value.trim()})}),r("span",
{class:"hint",children:"euler, heun, lcm, dpmpp_2m karras, …"})]}),tt(t).map(a=>r("label",{class:a.kind==="flag"?"chec\
k":"",children:[a.kind==="flag"?r("input",{type:"checkbox",checked:e.more[a.key]==="true",onChange:s=>g.change({more:{...e.
more,[a.key]:s.currentTarget.checked?"true":""}})}):r("span",{class:"name",children:a.key.replaceAll("_"," ")}),a.kind===
"flag"?r("span",{children:a.key.replaceAll("_"," ")}):r("input",{type:"text",value:e.more[a.key]??"",placeholder:a.range??
"",onChange:s=>g.change({more:{...e.more,[a.key]:s.currentTarget.value.trim()}})}),r("span",{class:"hint",children:a.description})]},
a.key))]})}function Sn({without:e,with:t,labels:n,ratio:o,most:a}){let[s,i]=P(K("beside")??!1),[l,c]=P(50),f=u=>{i(u),ie("beside",u)};
return r("div",{class:`comparison ${s?"two":"one"}`,style:{"--most":a,"--ratio":o},children:[s?r("div",{class:"beside",children:[
r("figure",{children:[r("div",{style:{aspectRatio:String(o)},children:e}),r("figcaption",{children:n[0]})]}),r("figure",
{children:[r("div",{style:{aspectRatio:String(o)},children:t}),r("figcaption",{children:n[1]})]})]}):r("div",{class:"ove\
r",style:{"--at":`${l}%`,aspectRatio:String(o)},children:[r("div",{class:"layer",children:t}),r("div",{class:"layer firs\
t",children:e}),r("span",{class:"tag left","aria-hidden":"true",children:n[0]}),r("span",{class:"tag right","aria-hidden":"\
true",children:n[1]}),r("input",{type:"range",min:0,max:100,step:1,value:l,"aria-label":`Divider. Left: ${n[0]}. Right: ${n[1]}\
.`,"aria-valuetext":`${l} % ${n[0]}`,onInput:u=>c(u.currentTarget.valueAsNumber)}),r("span",{class:"divider","aria-hidde\
n":"true",children:r("span",{class:"knob"})})]}),r("div",{class:"segments two",role:"group","aria-label":"How to compare",
children:[r("label",{children:[r("input",{type:"radio",name:"beside",checked:!s,onChange:()=>f(!1)}),r("span",{children:"\
Divider"})]}),r("label",{children:[r("input",{type:"radio",name:"beside",checked:s,onChange:()=>f(!0)}),r("span",{children:"\
Side by side"})]})]})]})}var Cr=[{title:"Attention",test:/^attention\./,open:!0},{title:"Predictions",test:/^prediction\./,open:!0},{title:"Retri\
eval: attention as a Hopfield network",test:/^(hopfield|entmax|anderson)\./,open:!1}];function Tn({url:e,picture:t}){let[
n,o]=P(null),[a,s]=P("");if(X(()=>{ae(e).then(o,l=>s(B(l)))},[e]),a)return r("p",{class:"error",role:"alert",children:a});
if(!n)return r("p",{class:"hint",children:"Reading the trace…"});let i=n.series.filter(l=>l.rule!==null);return r("sec\
tion",{class:"trace","aria-label":"Trace",children:[n.places.slice(0,1).map(l=>r(Fr,{places:l,picture:t},"places")),i.map(
(l,c)=>r(Mn,{trace:n,series:l},c)),Cr.map(({title:l,test:c,open:f})=>{let u=n.series.filter(p=>p.rule===null&&c.test(p.quantity));
return u.length>0&&r("details",{open:f,children:[r("summary",{children:l}),r("div",{children:u.map(p=>r(Mn,{trace:n,series:p},
p.quantity))})]},l)})]})}function de(e,t){let n=t.unit==="share"?e*100:e,o=Math.abs(n)>=1e3||n!==0&&Math.abs(n)<.001?n.toExponential(
1):String(Number(n.toPrecision(3)));return t.unit==="share"?`${o} %`:o}var Pr=[[43,30,102],[47,92,148],[31,142,140],[93,
187,99],[242,227,76]],$r=[[29,78,158],[111,163,216],[213,216,220],[231,154,85],[176,74,18]];function Cn(e,t,n){let o=t<0&&
n>0,a=Math.max(-t,n),[s,i]=o?[-a,a]:[t,n],l=i>s?Math.min(Math.max((e-s)/(i-s),0),1):.5,c=o?$r:Pr,f=l*(c.length-1),u=Math.
min(Math.floor(f),c.length-2),p=c[u].map((v,y)=>Math.round(v+(c[u+1][y]-v)*(f-u))),[m,d,h]=p.map(v=>{let y=v/255;return y<=
.04045?y/12.92:((y+.055)/1.055)**2.4}),w=.2126*m+.7152*d+.0722*h;return{color:`rgb(${p.join(" ")})`,isLight:w>.179}}function Pn(e){
let t=e.some(o=>o.startsWith("single_transformer_blocks.")),n=e.map(o=>o.replace(/\.attn[12]?$/,"").replace(/^single_transformer_blocks\./,
"single.").replace(/^transformer_blocks\./,t?"double.":"block.").replace(/^(down|up)_blocks\./,"$1.").replace(/^mid_block\./,
"mid.").replaceAll("attentions.","").replaceAll("transformer_blocks.",""));return new Set(n).size===n.length?n:e}var Er=500;
function Mn({trace:e,series:t}){let n=e.quantities.find(a=>a.name===t.quantity),o=[...new Set(t.values.map(a=>a.layer))].
filter(a=>a!==null).sort((a,s)=>a-s);return r("article",{class:"panel",children:[r("h4",{children:[n.title,t.rule!==null&&
r("code",{children:e.rules[t.rule]?.name})]}),r("p",{children:t.says}),o.length===0?r(Or,{trace:e,series:t,quantity:n}):
o.length*e.steps.length<=Er?r(Rr,{trace:e,series:t,quantity:n,layers:o}):r(Jr,{trace:e,series:t,quantity:n,layers:o}),r(
"p",{class:"hint",children:n.definition})]})}function Rr({trace:e,series:t,quantity:n,layers:o}){let a=Pn(o.map(c=>e.layers[c].
path)),s=t.values.map(c=>c.mean),[i,l]=[Math.min(...s),Math.max(...s)];return r("div",{class:"scroll",tabIndex:0,role:"r\
egion","aria-label":`${n.title}, by layer and step`,children:r("table",{class:"map",children:[r("thead",{children:r("tr",
{children:[r("th",{scope:"col",children:"layer"}),e.steps.map(c=>r("th",{scope:"col",children:["step ",c.index+1]},c.index))]})}),
r("tbody",{children:o.map((c,f)=>r("tr",{children:[r("th",{scope:"row",title:e.layers[c].path,children:a[f]}),e.steps.map(
u=>{let p=t.values.find(h=>h.layer===c&&h.step===u.index);if(!p)return r("td",{class:"none",children:"–"},u.index);let{
color:m,isLight:d}=Cn(p.mean,i,l);return r("td",{class:d?"light":"dark",style:{background:m},title:`middle 80 %: ${de(p.
p10,n)} to ${de(p.p90,n)}`,children:de(p.mean,n)},u.index)})]},c))})]})})}function Jr({trace:e,series:t,quantity:n,layers:o}){
let a=me(null),[s,i]=P(""),l=Pn(o.map(h=>e.layers[h].path)),c=t.values.map(h=>h.mean),[f,u]=[Math.min(...c),Math.max(...c)],
[p,m]=[e.steps.length,o.length];X(()=>{let h=a.current?.getContext("2d");if(h)for(let w of t.values)h.fillStyle=Cn(w.mean,
f,u).color,h.fillRect(w.step,o.indexOf(w.layer),1,1)},[t]);let d=h=>{let w=a.current.getBoundingClientRect(),v=Math.min(
Math.floor((h.clientX-w.left)/w.width*p),p-1),y=Math.min(Math.floor((h.clientY-w.top)/w.height*m),m-1),b=t.values.find(M=>M.
step===v&&M.layer===o[y]);i(b?`${l[y]}, step ${v+1}: ${de(b.mean,n)}`:"")};return r("figure",{class:"large",children:[r(
"canvas",{ref:a,width:p,height:m,role:"img","aria-label":`${n.title}, by layer and step. ${t.says}`,onMouseMove:d,onMouseLeave:()=>i(
"")}),r("figcaption",{class:"hint",children:["Layers down, steps to the right; dark is ",de(f,n),", light ",de(u,n),". ",
s]})]})}function Or({trace:e,series:t,quantity:n}){let o=Math.max(...t.values.map(a=>Math.abs(a.mean)),1e-12);return r("\
table",{class:"bars",children:r("tbody",{children:t.values.map(a=>r("tr",{children:[r("th",{scope:"row",children:["step ",
(e.steps[a.step]?.index??0)+1]}),r("td",{children:[r("span",{class:"bar",style:{width:`${Math.abs(a.mean)/o*100}%`}}),r(
"span",{children:de(a.mean,n)})]})]},a.step))})})}function Fr({places:e,picture:t}){let n=f=>{let u=f.filter(p=>p!==null);
return(u[0]??[]).map((p,m)=>u.reduce((d,h)=>d+(h[m]??0),0)/Math.max(u.length,1))},[o,a]=[n(e.by_row),n(e.by_column)],s=Math.
max(...o,...a,1e-12),i=o.indexOf(Math.max(...o)),l=(f,u,p)=>p[Math.min(Math.floor(f/u*3),2)],c=`Guidance moves the ${l(i,
o.length,["upper","middle","lower"])} part of the picture most, and its ${l(a.indexOf(Math.max(...a)),a.length,["left","\
middle","right"])} part.`;return r("article",{class:"panel places",children:[r("h4",{children:"Where in the picture"}),r(
"p",{children:c}),r("div",{class:"frame",role:"img","aria-label":c,children:[r("img",{src:t.url,alt:""}),r("div",{class:"\
rows",children:o.map((f,u)=>r("span",{style:{width:`${f/s*100}%`}},u))}),r("div",{class:"columns",children:a.map((f,u)=>r(
"span",{style:{height:`${f/s*100}%`}},u))})]}),r("p",{class:"hint",children:"How far guidance moves the attention output\
, by row and column of the latents, over all steps and layers."})]})}function En(){let e=_(E);_(le);let t=_(H),n=e?.kind==="set"?t.find(a=>a.id===e.id):void 0,o=e?.kind==="picture"?Z(e.id):
void 0;return r("section",{id:"stage",class:"stage","aria-label":"Result",tabIndex:-1,children:n?r(Ar,{set:n},n.id):o?r(
Lr,{picture:o},o.id):r(Nr,{})})}function Nr(){return r("div",{class:"empty",children:[r("svg",{viewBox:"0 0 220 110",width:"\
220",height:"110","aria-hidden":"true",focusable:"false",children:[r("rect",{x:"6",y:"8",width:"94",height:"94",rx:"16",
class:"ghost"}),r("rect",{x:"120",y:"8",width:"94",height:"94",rx:"16",class:"ghost lit"}),r("path",{d:"M110 0v110",class:"\
divider"}),r("circle",{cx:"110",cy:"55",r:"11",class:"knob"})]}),r("h2",{children:"One seed, without and with guidance"}),
r("p",{children:"The prompt is filled in. Make both pictures, and move the divider between them to see what the negative\
 prompt took away."}),r("button",{type:"button",class:"primary",onClick:()=>{ue()},children:"Make the first pictures"})]})}
function Rt(e,t){let n=t.get(e.job);return{job:n,picture:n?.images.find(o=>o.index===e.index)}}function Ar({set:e}){let t=_(
O),n=[...new Set(e.cells.map(c=>c.job))];X(()=>{for(let c of n)t.has(c)||ge(c)},[e.id]);let o=n.map(c=>t.get(c)).filter(
c=>c!==void 0&&Q(c)),[a,s]=P(e.kind==="compare"?1:0),i=e.cells[Math.min(a,e.cells.length-1)],{picture:l}=i?Rt(i,t):{picture:void 0};
return r(R,{children:[r("header",{class:"bar",children:[r("h2",{children:e.prompt}),o.length>0&&r("button",{type:"button",
class:"small",onClick:()=>{for(let c of o)we(c.id)},children:["Cancel",o.length>1?` all ${o.length}`:""]})]}),r(Dr,{ids:n,
looked:i?.job}),r("div",{class:e.cells.length<=2?"body":"body wide",children:[e.kind==="compare"&&e.cells.length===2?r(Sn,
{without:r(st,{cell:e.cells[0]}),with:r(st,{cell:e.cells[1]}),labels:[e.cells[0].label,e.cells[1].label],ratio:$n(e,t),most:Et(
l)}):e.cells.length===1?r("div",{class:"single",style:{"--most":Et(l),"--ratio":$n(e,t)},children:r(st,{cell:e.cells[0]})}):
r(jr,{set:e,focus:a,choose:s}),l&&r(Rn,{picture:l,compared:e.kind==="compare"})]})]})}function Et(e){return`${e?Math.min(
Math.max(e.width*3.5,320),1024):448}px`}function $n(e,t){for(let a of e.cells){let{picture:s,job:i}=Rt(a,t);if(s)return s.
width/s.height;let[l,c]=[Number(i?.request.width),Number(i?.request.height)];if(l>0&&c>0)return l/c}let[n,o]=(A("")?.attune.
default_size??"1x1").split("x").map(Number);return n/o}function Dr({ids:e,looked:t}){let n=_(O),o=e.map(s=>n.get(s)).filter(
s=>s!==void 0),a=o.find(s=>s.id===t)?.warnings??[];return r(R,{children:[o.filter(s=>s.status==="failed").map(s=>r("p",{
class:"error",role:"alert",children:s.error?.message},s.id)),a.map(s=>r("p",{class:"warning",children:s},s))]})}function st({
cell:e,small:t=!1}){let{job:n,picture:o}=Rt(e,_(O)),a=_(W).get(e.job);if(o)return r("img",{class:"made",src:t?o.thumbnail_url:
o.url,width:o.width,height:o.height,alt:Oe(o)});let s=a?.image===e.index&&n!==void 0&&Q(n),i=n?n.status==="failed"?"Fail\
ed":n.status==="cancelled"?"Cancelled":s&&a.count>0?`Step ${a.index} of ${a.count}`:n.status==="running"?s?"Reading the \
prompt":"Next":Q(n)?Jt(n):"Deleted":"No longer kept";return r("div",{class:`making ${n&&Q(n)?"live":"over"}`,children:[s&&
a.preview&&r("img",{src:a.preview,alt:""}),r("span",{class:"state",children:[!t&&s&&a.count>0&&r("progress",{max:a.count,
value:a.index,"aria-label":e.label}),i]})]})}function Jt(e){let t=e.seconds??0,n=e.position?`${e.position} before it`:"N\
ext";return t>=2?`${n}, ${Math.round(t)} s`:n}function Oe(e){let t=e.parameters.negative_prompt;return`${String(e.parameters.
prompt??"A picture")}${t?`, not ${String(t)}`:""}, seed ${e.seed}`}var $t=e=>e.axis.replace("."," ").replaceAll("_"," ");
function jr({set:e,focus:t,choose:n}){let o=Math.max(e.columns.length,1),a=l=>{let c=e.cells[l];return r("button",{type:"\
button",class:"cell","aria-pressed":l===t,onClick:()=>n(l),title:c.label,children:[r(st,{cell:c,small:!0}),r("span",{class:e.
columns.length>0?"sr":"label",children:c.label})]})},[,s]=P(0),i=l=>{let c=e.columns.length>0?o:1,f={ArrowLeft:-1,ArrowRight:1,
ArrowUp:-c,ArrowDown:c}[l.key],u=t+(f??0);f===void 0||u<0||u>=e.cells.length||(l.preventDefault(),n(u),s(u),l.currentTarget.
querySelectorAll(".cell")[u]?.focus())};return e.columns.length===0?r("div",{class:"seeds",onKeyDown:i,children:e.cells.
map((l,c)=>r("div",{children:a(c)},l.label))}):r("div",{class:"scroll",tabIndex:0,role:"region","aria-label":`Grid over ${$t(
e)}`,children:r("table",{class:"grid",onKeyDown:i,children:[r("caption",{class:"sr",children:["Pictures by ",$t(e)," and\
 seed"]}),r("thead",{children:r("tr",{children:[r("th",{scope:"col",children:$t(e)}),e.columns.map(l=>r("th",{scope:"col",
children:l},l))]})}),r("tbody",{children:e.rows.map((l,c)=>r("tr",{children:[r("th",{scope:"row",children:l}),e.columns.
map((f,u)=>r("td",{children:a(c*o+u)},f))]},l))})]})})}function Lr({picture:e}){let{ids:t}=_(D),n=t.indexOf(e.id),o=a=>{
let s=t[n+a];s&&ce(s)};return r(R,{children:[r("header",{class:"bar",children:[r("h2",{children:String(e.parameters.prompt??
"")}),r("span",{class:"pair",children:[r("button",{type:"button",class:"plain","aria-label":"Newer picture",title:"Newer\
 (←)",disabled:n<=0,onClick:()=>o(-1),children:r($,{name:"back"})}),r("button",{type:"button",class:"plain","aria-labe\
l":"Older picture",title:"Older (→)",disabled:n<0||n>=t.length-1,onClick:()=>o(1),children:r($,{name:"next"})})]})]}),
r("div",{class:"body",children:[r("div",{class:"single",style:{"--most":Et(e),"--ratio":e.width/e.height},children:r("im\
g",{class:"made",src:e.url,width:e.width,height:e.height,alt:Oe(e)})}),r(Rn,{picture:e})]})]})}var Br=/^(hopfield|entmax|anderson)\./;
function Rn({picture:e,compared:t=!1}){let n=Z(e.id)??e,{parameters:o}=n,[a,s]=P(!1),i=(n.findings??[]).filter(p=>!Br.test(
p.quantity)).sort((p,m)=>+(p.rule===void 0)-+(m.rule===void 0)),l=F(String(o.guidance??"none")),c=p=>String(o[p]??""),f=p=>{
navigator.clipboard?.writeText(p).then(()=>N("Copied."))},u=p=>{xe(o),g.change(p),ue(g.value)};return r(R,{children:[r("\
div",{class:"details",children:[r("div",{class:"actions",children:[r("button",{type:"button",onClick:()=>{xe(o),N("The s\
ettings are in the form.")},children:"Use these settings"}),!t&&l.length>0&&c("guidance")!==Re(g.value)&&r("button",{type:"\
button",onClick:()=>u({mode:"compare"}),children:"Compare with plain"}),r("button",{type:"button",onClick:()=>u({mode:"s\
eeds",count:4,seed:c("seed")}),children:"Vary the seed"}),r("span",{class:"tools",children:[r("button",{type:"button",class:"\
plain star","aria-pressed":n.starred,"aria-label":"Star: keep this picture",title:"Star (.)",onClick:()=>{at(n)},children:r(
$,{name:"star",filled:n.starred})}),r("a",{class:"button plain",href:n.url,download:`attune-${n.seed}.${n.format}`,"aria\
-label":"Download",title:"Download",children:r($,{name:"download"})}),r("button",{type:"button",class:"plain","aria-labe\
l":"Delete",title:"Delete",onClick:()=>vn(n),children:r($,{name:"trash"})})]})]}),i.length>0&&r("section",{class:"did","\
aria-label":"What guidance did",children:[r("h3",{children:"What guidance did"}),r("ul",{children:i.map(p=>r("li",{title:p.
title,class:p.rule?"own":"",children:[p.rule&&r("code",{children:F(p.rule)[0]?.name})," ",p.text]},`${p.rule} ${p.quantity}`))}),
n.trace_url&&r("button",{type:"button",class:"small","aria-expanded":a,onClick:()=>s(!a),children:a?"Hide the trace":"Wh\
ere and when: the trace"})]}),r("dl",{class:"facts",children:[c("negative_prompt")!==""&&r(R,{children:[r("dt",{children:"\
Not"}),r("dd",{children:c("negative_prompt")})]}),r("dt",{children:"Seed"}),r("dd",{children:[String(n.seed)," ",r("butt\
on",{type:"button",class:"plain tiny","aria-label":"Copy the seed",title:"Copy",onClick:()=>f(String(n.seed)),children:r(
$,{name:"copy"})})]}),r("dt",{children:"Size"}),r("dd",{children:[n.width," × ",n.height]}),r("dt",{children:"Steps"}),
r("dd",{children:c("steps")}),r("dt",{children:"Guidance"}),r("dd",{class:"mono",children:l.length===0?"none":Xr(c("guid\
ance"))}),r("dt",{children:"Model"}),r("dd",{children:c("model")})]})]}),a&&n.trace_url&&r(Tn,{url:n.trace_url,picture:n})]})}
function Xr(e){return F(e).map(t=>{let n=S.value?.rules.find(a=>a.name===t.name),o=Object.entries(t.values).filter(([a,s])=>{
let i=n?.parameters.find(l=>l.name===a);return i?.kind==="number"||i?.default!==s&&s!=="all"});return o.length===0?t.name:
`${t.name}: ${o.map(([a,s])=>`${a} ${s}`).join(", ")}`}).join(" + ")}function Jn(){let e=ve(_(O)),t=_(W);if(e.length===0)return null;let n=o=>{let a=H.value.find(s=>s.cells.some(i=>i.job===
o));a?E.set({kind:"set",id:a.id}):N("This was asked for in another window.")};return r("section",{class:"queue card","ar\
ia-label":"Queue",children:[r("header",{class:"bar",children:[r("h2",{children:"Being made"}),e.length>1&&r("button",{type:"\
button",class:"small",onClick:()=>{if(confirm(`Cancel all ${e.length}?`))for(let o of e)we(o.id)},children:"Cancel all"})]}),
r("ul",{children:e.map(o=>{let a=t.get(o.id),s=o.count*Math.max(a?.count??1,1),i=a?a.image*a.count+a.index:o.images.length,
l=String(o.request.prompt);return r("li",{children:[r("button",{type:"button",class:"plain what",onClick:()=>n(o.id),children:l}),
r("span",{class:"hint",children:[o.status==="running"&&o.count>1&&`${o.images.length} of ${o.count}, `,o.status!=="runni\
ng"?Jt(o):a?`step ${a.index} of ${a.count}`:"begins"]}),r("progress",{max:s,value:o.status==="running"?i:0,"aria-label":`\
Progress of ${l}`}),r("button",{type:"button",class:"plain","aria-label":`Cancel ${l}`,title:"Cancel",onClick:()=>{we(o.
id)},children:r($,{name:"close"})})]},o.id)})})]})}function On(){let{ids:e,more:t,starred:n}=_(D);_(le);let o=_(E),a=me(
null);return r("section",{class:"gallery","aria-label":"Gallery",children:[r("header",{class:"bar",children:[r("h2",{children:"\
Pictures"}),r("span",{class:"pair",children:[r("button",{type:"button",class:"small","aria-pressed":n,onClick:()=>{D.change(
{starred:!n,ids:[]}),Y()},children:[r($,{name:"star",filled:n})," Starred"]}),r("button",{type:"button",class:"small",onClick:()=>a.
current?.click(),children:[r($,{name:"open"})," Recall from a file"]}),r("input",{ref:a,type:"file",accept:"image/*",class:"\
sr",tabIndex:-1,"aria-label":"A picture whose settings are recalled",onChange:s=>{let i=s.currentTarget.files?.[0];i&&Je(
i),s.currentTarget.value=""}})]})]}),e.length===0?r("p",{class:"hint",children:n?"No picture has a star.":"Pictures that\
 are made appear here, and stay. Drop one anywhere on the page to recall its settings."}):r("ul",{class:"thumbs",children:e.
map(s=>{let i=Z(s);return i&&r("li",{children:r("button",{type:"button","aria-current":o?.kind==="picture"&&o.id===s?"tr\
ue":void 0,title:Oe(i),onClick:()=>{ce(s),document.querySelector("#stage")?.scrollIntoView({block:"nearest"})},children:[
r("img",{src:i.thumbnail_url,loading:"lazy",width:i.width,height:i.height,alt:Oe(i)}),i.starred&&r("span",{class:"mark",
children:[r($,{name:"star",filled:!0}),r("span",{class:"sr",children:"starred"})]})]})},s)})}),t&&r("button",{type:"butt\
on",class:"small",onClick:()=>{_n()},children:"Older pictures"})]})}var Fe=new T(K("theme")??"auto"),it=new T(!1),lt=new T(!1),Fn=()=>{document.documentElement.dataset.theme=Fe.value,ie("t\
heme",Fe.value)};Fe.watch(Fn);Fn();function zr(){let e=_(S),t=_(Ge);return r(R,{children:[r("a",{class:"skip",href:"#sta\
ge",children:"To the result"}),r(Hr,{}),e?r("main",{children:[r(wn,{}),r("div",{class:"right",children:[r(En,{}),r(Jn,{}),
r(On,{})]})]}):r("main",{class:"loading",children:t?r("p",{class:"error",role:"alert",children:[t," ",r("button",{type:"\
button",onClick:()=>{Ye()},children:"Try again"})]}):r("p",{class:"hint",children:"Asking the server…"})}),r(Ir,{}),r(
Wr,{}),r(Ur,{}),r(Vr,{})]})}function Hr(){let e=_(S),t=_(Fe),n={auto:"light",light:"dark",dark:"auto"},o={auto:"auto",light:"\
sun",dark:"moon"};return r("header",{class:"top",children:[r("h1",{children:[r("img",{src:"/page/icon.svg",alt:"",width:28,
height:28})," Attune"]}),r("p",{class:"model",children:e?.status.default_model}),r("nav",{"aria-label":"Page",children:[
r("a",{class:"button plain",href:"/reference/","aria-label":"The API",title:"The API",children:r($,{name:"code"})}),r("b\
utton",{type:"button",class:"plain","aria-label":`Colours: ${t}`,title:`Colours: ${t}`,onClick:()=>Fe.set(n[t]),children:r(
$,{name:o[t]})}),r("button",{type:"button",class:"plain","aria-label":"Keys",title:"Keys (?)",onClick:()=>lt.set(!0),children:r(
$,{name:"help"})})]})]})}function Ir(){let e=_($e);return r(R,{children:[r("div",{class:"toasts",role:"status",children:e&&
r("p",{class:"toast",children:[e.text,e.label&&r("button",{type:"button",onClick:()=>Ee(!0),children:e.label})]})}),r("d\
iv",{class:"sr","aria-live":"polite",children:_(rt)})]})}function Wr(){let[e,t]=P(!1);return X(()=>{let n=0,o=i=>i.dataTransfer?.
types.includes("Files")??!1,a=[["dragenter",i=>{o(i)&&(n++,t(!0))}],["dragleave",()=>{n=Math.max(n-1,0),t(n>0)}],["drago\
ver",i=>{o(i)&&i.preventDefault()}],["drop",i=>{n=0,t(!1);let l=i.dataTransfer?.files[0];l&&(i.preventDefault(),Je(l))}]];
for(let[i,l]of a)addEventListener(i,l);let s=i=>{let l=[...i.clipboardData?.files??[]].find(c=>c.type.startsWith("image/"));
l&&Je(l)};return addEventListener("paste",s),()=>{for(let[i,l]of a)removeEventListener(i,l);removeEventListener("paste",
s)}},[]),e?r("div",{class:"drop","aria-hidden":"true",children:r("p",{children:"Drop the picture to recall its settings"})}):
null}function Nn(e){let t=me(null);return X(()=>{e&&!t.current?.open&&t.current?.showModal(),!e&&t.current?.open&&t.current.
close()},[e]),t}var qr=[["Ctrl or ⌘ + Enter","make what the form says"],["p","write the prompt"],["n","write the negat\
ive prompt"],["← →","the newer or older picture; the divider of a comparison"],["u","use the settings of the picture"],
[".","give the picture a star"],["?","these keys"],["Esc","close"]];function Ur(){let e=_(lt),t=Nn(e);return r("dialog",
{ref:t,"aria-labelledby":"keys-title",onClose:()=>lt.set(!1),children:[r("h2",{id:"keys-title",children:"Keys"}),r("dl",
{class:"keys",children:qr.map(([n,o])=>r("div",{children:[r("dt",{children:r("kbd",{children:n})}),r("dd",{children:o})]},
n))}),r("form",{method:"dialog",children:r("button",{children:"Close"})})]})}function Vr(){let e=_(it),t=Nn(e),[n,o]=P(""),
[a,s]=P(""),i=async()=>{try{await pe("/api/session",{key:n}),s(""),o(""),it.set(!1),await Ye()}catch(l){s(l instanceof z&&
l.status===401?"The server does not know this key.":B(l))}};return r("dialog",{ref:t,"aria-labelledby":"key-title",onClose:()=>it.
set(!1),children:r("form",{onSubmit:l=>{l.preventDefault(),i()},children:[r("h2",{id:"key-title",children:"This server w\
ants an API key"}),r("label",{children:[r("span",{class:"name",children:"Key"}),r("input",{type:"password",autocomplete:"\
off",value:n,onInput:l=>o(l.currentTarget.value)})]}),r("div",{role:"alert",children:a&&r("p",{class:"error",children:a})}),
r("button",{class:"primary",children:"Open"})]})})}addEventListener("keydown",e=>{if(e.key==="Enter"&&(e.ctrlKey||e.metaKey)){
e.preventDefault(),S.value&&!document.querySelector("dialog[open]")&&ue();return}let t=e.target;if(e.ctrlKey||e.metaKey||
e.altKey||document.querySelector("dialog[open]"))return;if(t.matches("textarea, select, input:not([type=checkbox]):not([\
type=radio])")){e.key==="Escape"&&t.blur();return}let n=E.value?.kind==="picture"?Z(E.value.id):void 0,o=i=>{if(!n||t.matches(
"input, .scroll, .cell"))return;let{ids:l}=D.value,c=l[l.indexOf(n.id)+i];c&&ce(c)},s={"?":()=>lt.set(!0),p:()=>document.
querySelector("#prompt")?.focus(),n:()=>document.querySelector("#negative")?.focus(),u:()=>{n&&(xe(n.parameters),N("The \
settings are in the form."))},".":()=>{n&&at(n)},ArrowLeft:()=>o(-1),ArrowRight:()=>o(1)}[e.key];s&&(e.key.startsWith("A\
rrow")||e.preventDefault(),s())});ln(()=>it.set(!0));Ut(r(zr,{}),document.querySelector("#app"));Ye();
